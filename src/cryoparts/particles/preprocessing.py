"""From raw images to working images: one pass, memory bounded by the batch."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, fields
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cryoparts.conventions import CtfParameters
from cryoparts.errors import InputError
from cryoparts.imaging.ctf import split_transfer
from cryoparts.io.array_file import ArrayFile
from cryoparts.io.atomic import make_folder_atomically
from cryoparts.parallel.current import team
from cryoparts.particles.blank_images import blank_error, is_blank
from cryoparts.particles.contrast import (
    ContrastEstimate,
    ContrastEvidence,
    contrast_evidence,
    estimate_contrast,
)
from cryoparts.particles.half_sets import assign_half_sets
from cryoparts.particles.image_operations import (
    distance_from,
    normalised,
    soft_mask,
    unflipped,
    without_border,
)
from cryoparts.particles.prepared import (
    IMAGES,
    PARTICLES,
    PREPROCESSING,
    PreparedParticles,
    ctf_columns,
)
from cryoparts.particles.resampling import WorkingGrid, working_grid
from cryoparts.statistics.by_image import first_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.config import PreprocessingConfig
    from cryoparts.particle_files.particle_table import ParticleTable
    from cryoparts.particles.particle_set import ParticleSet

logger = logging.getLogger(__name__)

DEFAULT_MASK_FRACTION = 0.45
CONTRAST_SAMPLE = 2000
"""Particles, spread over the file, that the contrast is told from."""
MOST_IN_A_BATCH = 64
"""Images that are read together; a few thousand are batches enough for several processes."""

VALUES_IN_A_BATCH = 2**21
"""Pixels of raw images held at a time (8 MiB in float32, and a few copies of them)."""


@dataclass(frozen=True)
class Plan:
    """Everything that is fixed before the first image is read."""

    grid: WorkingGrid
    radius_angstrom: float
    edge_pixels: float
    normalise: bool
    batch: int
    contrast_stride: int


def prepare(
    particles: ParticleSet,
    folder: Path,
    config: PreprocessingConfig,
    progress: Callable[[int, int], None] | None = None,
    *,
    seed: int = 0,
) -> PreparedParticles:
    """Make the working images and write them to `folder`, whole or not at all.

    Each image is un-flipped if it was phase-flipped, resampled to the common
    working grid, brought to background mean 0 and deviation 1 (outside a circle
    about the particle), and multiplied by a soft circular mask about the
    particle. The contrast sign is found from a sample of the images, stored, and
    applied when they are read.

    Parameters
    ----------
    particles : ParticleSet
    folder : Path
        Must not exist, or be empty.
    config : PreprocessingConfig
    progress : callable, optional
        Called with (particles done, all particles) after every batch.
    seed : int
        Of the half sets, where the file names none.

    Returns
    -------
    PreparedParticles
        In the order of the particle table.

    Raises
    ------
    InputError
        If `folder` exists with something in it, the working box or mask does not
        fit the images, or an image is blank or not finite.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            str(folder), "the folder exists and is not empty", "Remove it or choose another."
        )
    table = particles.table
    plan = plan_of(table, config)
    stored, working = working_images(table)
    with make_folder_atomically(folder) as partial:
        evidence = _write_images(partial / IMAGES, particles, stored, plan, progress)
        estimate = estimate_contrast(evidence)
        sign = {"bright": 1, "dark": -1, "auto": estimate.sign}[config.contrast]
        if config.contrast == "auto" and not estimate.is_sure:
            logger.warning(
                "the images hardly tell whether protein is bright or dark in them "
                "(%.1f standard errors, %d particles): taken as %s; --contrast bright or dark "
                "settles it",
                estimate.z_score,
                estimate.particles,
                "bright" if sign > 0 else "dark",
            )
        halves = assign_half_sets(table.half_set, seed, image=table.image)
        _write_columns(partial / PARTICLES, table, halves.half, working)
        details = _details(table, plan, estimate, sign, config) | {"half_sets": halves.source}
        text = json.dumps(details, indent=2, ensure_ascii=False) + "\n"
        (partial / PREPROCESSING).write_text(text, encoding="utf-8")
    return PreparedParticles.open(folder)


def working_images(table: ParticleTable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which rows are made into working images, and the working image (P,) of each row.

    Rows of one image share one, so that symmetry-expanded particles take no more
    room; not if mask, pixel size or un-flipping would differ, because their shifts,
    pixel sizes or (phase-flipped) CTFs do.
    """
    if table.image_count == len(table):
        return np.arange(len(table)), np.arange(len(table))
    keys = [table.image, *np.round(table.poses.shift_angstrom, 2).T, table.pixel_size_angstrom]
    if table.phase_flipped:
        keys.extend(getattr(table.ctf, f.name) for f in fields(CtfParameters))
    frame = pd.DataFrame(dict(enumerate(keys)))
    working = frame.groupby(list(frame.columns), sort=False).ngroup().to_numpy(np.int64)
    return first_rows(working), working


def plan_of(table: ParticleTable, config: PreprocessingConfig) -> Plan:
    """How images of a table become working images.

    Raises
    ------
    InputError
        If the working box or mask does not fit the images.
    """
    grid = working_grid(table, config.box_size)
    extent = grid.extent_angstrom
    radius = config.mask_radius_angstrom
    if radius is None:
        radius = DEFAULT_MASK_FRACTION * extent
    if radius > 0.5 * extent:
        raise InputError(
            "--mask-radius",
            f"must be at most half the box, {0.5 * extent:.1f} Å, got {radius:g}",
            "Leave it out, or give the molecule's radius with a margin.",
        )
    largest = int(table.box_size.max())
    return Plan(
        grid=grid,
        radius_angstrom=float(radius),
        edge_pixels=config.mask_edge_pixels,
        normalise=config.normalise,
        batch=max(1, min(MOST_IN_A_BATCH, VALUES_IN_A_BATCH // largest**2)),
        contrast_stride=max(1, table.image_count // CONTRAST_SAMPLE),
    )


@dataclass(frozen=True)
class _Preprocessing:
    """Makes working images and puts them into their file; tells what they show of the contrast."""

    particles: ParticleSet
    stored: NDArray[np.int64]
    plan: Plan
    images: ArrayFile

    def __call__(self, order: NDArray[np.int64]) -> list[ContrastEvidence]:
        """Of the working images `order`."""
        sampled = order % self.plan.contrast_stride == 0
        made, evidence = working_batch(self.particles, self.stored[order], self.plan, sampled)
        self.images.put(order, made.numpy())
        return evidence

    def joined(self, answers: Sequence[list[ContrastEvidence]]) -> list[ContrastEvidence]:
        """Of parts of a batch, one behind the other."""
        return [evidence for of_part in answers for evidence in of_part]


def _write_images(
    path: Path,
    particles: ParticleSet,
    stored: NDArray[np.int64],
    plan: Plan,
    progress: Callable[[int, int], None] | None,
) -> list[ContrastEvidence]:
    """Write the working images of the rows `stored` in order; returns evidence on the contrast."""
    box, count = plan.grid.box_size, len(stored)
    images = ArrayFile.create(path, (count, box, box), np.dtype("<f4"))
    task = _Preprocessing(particles, stored, plan, images)
    made = team().sweep(task, np.arange(count), plan.batch, progress)
    return [evidence for _, of_batch in made for evidence in of_batch]


def working_batch(
    particles: ParticleSet, rows: NDArray[np.int64], plan: Plan, sampled: NDArray[np.bool_]
) -> tuple[Tensor, list[ContrastEvidence]]:
    """Working images (n, D, D) of chosen particles, and evidence on the contrast of `sampled` ones.

    Raises
    ------
    InputError
        If an image is blank or not finite.
    """
    grid, table = plan.grid, particles.table
    out = torch.empty((len(rows), grid.box_size, grid.box_size))
    evidence = []
    for number in np.unique(grid.kind_of_particle[rows]):
        place = np.flatnonzero(grid.kind_of_particle[rows] == number)
        chosen, kind = rows[place], grid.kinds[int(number)]
        read = particles.images(chosen)
        if is_blank(read).any():
            raise blank_error(particles)
        raw = torch.from_numpy(read)
        if table.phase_flipped:
            ctf = table.ctf.take(chosen)
            raw = unflipped(raw, split_transfer(ctf, kind.box_size, kind.pixel_size)[0])
        images = kind.apply(without_border(raw))
        shift = torch.as_tensor(table.poses.shift_angstrom[chosen], dtype=torch.float32)
        distance = distance_from(shift, grid.box_size, grid.pixel_size)
        if plan.normalise:
            extent = kind.box_size * kind.pixel_size
            images = normalised(images, distance, plan.radius_angstrom, grid.pixel_size, extent)
        asked = np.flatnonzero(sampled[place])
        if len(asked):
            evidence.append(
                contrast_evidence(
                    images[asked],
                    table.ctf.take(chosen[asked]),
                    shift[asked],
                    grid.pixel_size,
                )
            )
        edge = plan.edge_pixels * grid.pixel_size
        out[place] = images * soft_mask(distance, plan.radius_angstrom, edge)
    return out, evidence


def _write_columns(
    path: Path, table: ParticleTable, half: NDArray[np.int8], working: NDArray[np.int64]
) -> None:
    columns: dict[str, Any] = dict(ctf_columns(table.ctf))
    if table.image_names is not None:
        columns |= {
            "image": table.image,
            "image_names": np.char.encode(table.image_names, "utf-8"),
            "working_image": working,
        }
    np.savez(
        path,
        names=np.char.encode(table.names, "utf-8"),
        rotation=table.poses.rotation,
        shift_angstrom=table.poses.shift_angstrom,
        half_set=half,
        optics_group=table.optics_group,
        **columns,
    )


def _details(
    table: ParticleTable,
    plan: Plan,
    estimate: ContrastEstimate,
    sign: int,
    config: PreprocessingConfig,
) -> dict[str, Any]:
    grid = plan.grid
    counts = np.bincount(grid.kind_of_particle, minlength=len(grid.kinds))
    return {
        "cryoparts": version("cryoparts"),
        "source": str(table.source),
        "format": table.format,
        "particles": len(table),
        "images": table.image_count,
        "box_size": grid.box_size,
        "pixel_size_angstrom": grid.pixel_size,
        "contrast_sign": sign,
        "contrast_source": "data" if config.contrast == "auto" else "given",
        "contrast_z_score": estimate.z_score,
        "contrast_sample": estimate.particles,
        "mask_radius_angstrom": plan.radius_angstrom,
        "mask_edge_pixels": plan.edge_pixels,
        "normalised": plan.normalise,
        "phase_flipping_undone": table.phase_flipped,
        "raw_images": [
            {
                "box_size": kind.box_size,
                "pixel_size_angstrom": kind.pixel_size,
                "particles": int(number),
                "residual_scale_error": kind.scale_error,
            }
            for kind, number in zip(grid.kinds, counts, strict=True)
        ],
        "notes": list(table.notes),
    }
