"""Every part at rest: one map of all particles, in which nothing moves."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.at_rest.at_rest_files import (
    CURVES,
    TABLE,
    region_row,
    start_folder,
    write_curves,
    write_maps,
    write_summary,
    write_table,
)
from cryoparts.at_rest.half_runs import (
    DecodedByHalf,
    bodies_of_halves,
    poses_of_halves,
    weight_of_halves,
)
from cryoparts.at_rest.make_maps import Making, group_particles, images_to_read, make_maps
from cryoparts.at_rest.neighbourhoods import CorrectedField, find_neighbourhoods, follow
from cryoparts.at_rest.run_bodies import particle_weight, run_bodies
from cryoparts.at_rest.run_regions import make_regions, molecule_mask
from cryoparts.config.steps import AtRestOptions
from cryoparts.errors import InputError
from cryoparts.export.at_rest_session import write_at_rest_session
from cryoparts.io.map_frame import MapFrame
from cryoparts.motion.motion_files import is_told
from cryoparts.particles.original_images import OriginalImages
from cryoparts.parts.part_kinds import DISPLACEMENT_CHANGES_ANGSTROM
from cryoparts.parts.part_labels import CORE
from cryoparts.pipeline.maps.halves import train_halves
from cryoparts.pipeline.maps.part_files import write_part_files
from cryoparts.pipeline.progress import Progress, silent
from cryoparts.pipeline.start import open_particles
from cryoparts.reconstruction.passes import affordable_gigabytes
from cryoparts.run.result_options import keep_options
from cryoparts.training.setup import choose_device, set_threads

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.at_rest.bodies import Body
    from cryoparts.at_rest.composite import JudgedRegion, Region
    from cryoparts.at_rest.half_runs import HalfRuns
    from cryoparts.at_rest.make_maps import MapsAtRest
    from cryoparts.config import ReconstructionConfig
    from cryoparts.run.run import Run
    from cryoparts.training.trainer import Progress as TrainingProgress

    Map = NDArray[np.float32]

LOG = logging.getLogger(__name__)

SHARED = (
    "the half maps share no image; poses are those of the particle file or, where refined, of one "
    "training, which saw both halves and decided how the parts lie in each particle: halves share "
    "one model"
)
APART = (
    "each half was trained apart, found its own parts and moved its own particles; they share the "
    "poses of the particle file (where refined, each half's are its own), the neutral model and "
    "the masks"
)
"""What is independent of what, for the summary."""


@dataclass(frozen=True)
class AtRestResult:
    """What the map at rest gained.

    Parameters
    ----------
    folder : Path
    regions : tuple of JudgedRegion
        The core first.
    resolution_before, resolution_after : float or None
        Of consensus and composite within the molecule's mask, Å.
    box_size : int
    pixel_size_angstrom : float
    independent : bool
        Whether the halves were apart from the training on.
    """

    folder: Path
    regions: tuple[JudgedRegion, ...]
    resolution_before: float | None
    resolution_after: float | None
    box_size: int
    pixel_size_angstrom: float
    independent: bool


def reconstruct_at_rest(
    run: Run,
    options: AtRestOptions | None = None,
    maps: ReconstructionConfig | None = None,
    progress: Progress = silent,
    epochs: TrainingProgress | None = None,
) -> AtRestResult:
    """Reconstruct every part from all particles, each in the part's own pose; compose them.

    Parameters
    ----------
    run : Run
        With parts and their motion.
    options : AtRestOptions, optional
    maps : ReconstructionConfig, optional
        Its padding, memory and B-factor are used. Default: the run's.
    progress : callable
    epochs : TrainingProgress, optional
        Told how far the trainings of the halves are.

    Raises
    ------
    InputError
        If parts or motion are missing, or the particle file has moved.
    """
    options, maps = options or AtRestOptions(), maps or run.config.reconstruction
    halves = train_halves(run, epochs, progress) if options.halves else None
    bodies = _bodies(run, options, halves)
    if not bodies and not options.deformable:
        raise InputError(
            str(run.root), "no part of it moves", "Nothing is to be brought to rest in this run."
        )
    source = OriginalImages.of(
        open_particles(run.config),
        run.particles,
        run.config.preprocessing,
        poses=None if halves is None else poses_of_halves(run, halves),
        box_size=options.box_size,
        pixel_size_angstrom=options.pixel_size_angstrom,
    )
    making = Making(
        maps.padding,
        affordable_gigabytes(maps.memory_gigabytes, source.box_size, maps.padding),
        set_threads(run.training.threads),
        run.training.seed,
        maps.b_factor,
        choose_device(run.training.device),
    )
    weight = particle_weight(run) if halves is None else weight_of_halves(run, halves)
    near, residual = _neighbourhoods(run, options, bodies, weight, halves, progress)
    groups = group_particles(source, weight, bodies, near)
    regions = _regions(run, bodies, source.box_size, source.pixel_size_angstrom)
    mask = molecule_mask(run.model, source.box_size, source.pixel_size_angstrom)
    total, done = images_to_read(source, groups, making), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress("maps at rest", done, total)

    made = make_maps(source, groups, regions, run.model, mask, making, advance)
    folder = run.directory.at_rest_path
    start_folder(folder)
    centres = write_part_files(folder, run.config, source, bodies, regions, made)
    notes: dict[str, Any] = {
        "halves_trained_apart": halves is not None,
        "independence": SHARED if halves is None else APART,
        "left_by_neighbourhoods_angstrom": residual,
        "files_are_about_angstrom": centres,
    }
    _write(run, folder, made, regions, mask, source.pixel_size_angstrom, notes)
    keep_options(folder, options)
    return AtRestResult(
        folder,
        made.judged,
        made.before.resolution_angstrom,
        made.after.resolution_angstrom,
        source.box_size,
        source.pixel_size_angstrom,
        independent=halves is not None,
    )


def parts_that_move(run: Run) -> list[str]:
    """Names of the parts that move by 1 Å (root mean square) at the least, as images tell."""
    summary = run.motions
    if summary is None or not run.has_parts:
        return []
    return [
        str(part["name"])
        for part in summary["parts"].values()
        if is_told(part) and part["displacement_rms_angstrom"] >= DISPLACEMENT_CHANGES_ANGSTROM
    ]


def at_rest_where_parts_move(
    run: Run,
    options: AtRestOptions | None = None,
    maps: ReconstructionConfig | None = None,
    progress: Progress = silent,
    epochs: TrainingProgress | None = None,
) -> AtRestResult | None:
    """As `reconstruct_at_rest`, as a step of a run: nothing where no part moves.

    What keeps the maps from being made is a warning, not the end of the run: the particle file
    may have been moved since the run was started.
    """
    if not parts_that_move(run):
        return None
    try:
        return reconstruct_at_rest(run, options, maps, progress, epochs)
    except InputError as fault:
        LOG.warning("no maps at rest: %s", fault)
        return None


def _bodies(run: Run, options: AtRestOptions, halves: HalfRuns | None) -> tuple[Body, ...]:
    if halves is not None:
        return bodies_of_halves(run, halves)
    return run_bodies(run) if run.motions is not None or not options.deformable else ()


def _neighbourhoods(
    run: Run,
    options: AtRestOptions,
    bodies: tuple[Body, ...],
    weight: NDArray[np.float64],
    halves: HalfRuns | None,
    progress: Progress,
) -> tuple[tuple[Body, ...], float | None]:
    """Bodies that follow what the decoder says of all Gaussians, and what they leave, Å."""
    if not options.deformable:
        return (), None
    if "position" not in run.training.vary:
        raise InputError("--deformable", "positions did not vary in this run", "Leave it out.")
    model = run.model
    found = find_neighbourhoods(model, options.neighbourhoods, run.training.seed)

    decoders = [asked.decoder for asked in ([run] if halves is None else halves.both)]
    decoded = DecodedByHalf(decoders, None if halves is None else run.particles.half_set)
    field = CorrectedField(model, bodies, decoded)
    told = partial(progress, "displacement field")
    return follow(model, found, field, weight, told)


def _regions(run: Run, bodies: Sequence[Body], box: int, pixel: float) -> list[Region]:
    """The core, if there is one, and every body."""
    core = np.flatnonzero(run.parts.members(CORE))
    told = [("core", "core", core)] if len(core) else []
    told += [(body.name, body.label, body.members) for body in bodies]
    return make_regions(run.model, told, box, pixel)


def _write(
    run: Run,
    folder: Path,
    made: MapsAtRest,
    regions: list[Region],
    mask: Map,
    pixel: float,
    notes: dict[str, Any],
) -> None:
    frame = MapFrame.load(run.root)
    composite = made.composite
    maps: dict[str, Map] = {
        "consensus": made.consensus_shown,
        "consensus_half1": made.consensus.half1,
        "consensus_half2": made.consensus.half2,
        "composite": composite.shown,
        "composite_half1": composite.volumes.half1,
        "composite_half2": composite.volumes.half2,
        "local_resolution_consensus": made.local_before,
        "local_resolution_composite": made.local_after,
        "mask": mask,
    }
    if composite.sharpened is not None:
        maps["composite_sharpened"] = composite.sharpened
    for region in regions:
        maps[f"mask_{region.name}"] = region.mask
    for name, volumes in made.bodies.items():
        maps |= {name: volumes.whole, f"{name}_half1": volumes.half1}
        maps |= {f"{name}_half2": volumes.half2}
    write_maps(folder, maps, pixel, frame)
    local = made.local_before, made.local_after
    write_at_rest_session(folder, composite.shown, local, mask)
    box = len(mask)
    curves = {"consensus": made.before, "composite": made.after}
    for one in made.judged:
        curves |= {f"{one.name}_{kind}": quality for kind, quality in one.qualities.items()}
    write_curves(folder / CURVES, curves, box, pixel)
    rows = [
        region_row(one, _local(made, region.mask))
        for one, region in zip(made.judged, regions, strict=True)
    ]
    write_table(folder / TABLE, rows)
    write_summary(
        folder,
        {
            "regions": rows,
            "consensus_angstrom": made.before.resolution_angstrom,
            "composite_angstrom": made.after.resolution_angstrom,
            "local_consensus_angstrom": _local(made, mask)[0],
            "local_composite_angstrom": _local(made, mask)[1],
            "b_factor_of_guinier_plot": {
                "consensus": made.before.b_factor,
                "composite": made.after.b_factor,
            },
            "b_factor_applied": made.b_factor,
            "box_size": box,
            "pixel_size_angstrom": pixel,
        }
        | notes,
    )


def _local(made: MapsAtRest, mask: Map) -> tuple[float, float]:
    """Median local resolution within a mask, before and after, Å."""
    inside = mask > 0.5
    return float(np.median(made.local_before[inside])), float(np.median(made.local_after[inside]))
