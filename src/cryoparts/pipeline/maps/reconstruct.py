"""Maps of the states of parts, along their trajectories, or of a selection of particles."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.config.steps import FRAMES
from cryoparts.difference_maps.map_files import write_part_maps
from cryoparts.difference_maps.part_maps import (
    Comparison,
    Group,
    images_to_read,
    reconstruct_groups,
)
from cryoparts.io.map_frame import MapFrame
from cryoparts.pipeline.maps.map_inputs import MapInputs, independence, selected_rows
from cryoparts.reconstruction.windows import effective_count, soft_windows
from cryoparts.states.focus import FocusedParticles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryoparts.config import ReconstructionConfig
    from cryoparts.difference_maps.part_maps import PartMaps
    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.run.run import Run

    Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class GroupResult:
    """What was reconstructed of one group of particles.

    Parameters
    ----------
    name : str
        "state_1", "frame_1", "selected" ...
    effective_particles : float
        Particles of equal weight that would be as noisy.
    resolution_angstrom : float or None
        Where the corrected FSC falls below 0.143.
    note : str
        Why there is no resolution, or empty.
    """

    name: str
    effective_particles: float
    resolution_angstrom: float | None
    note: str


@dataclass(frozen=True)
class DifferenceResult:
    """What differs between two groups beyond the noise.

    Parameters
    ----------
    first, second : str
        Groups; first minus second.
    volume_cubic_angstrom : float
        Of the voxels called different.
    strongest : float
        Largest absolute z-score, standard deviations.
    """

    first: str
    second: str
    volume_cubic_angstrom: float
    strongest: float


@dataclass(frozen=True)
class ReconstructionResult:
    """One folder of maps.

    Parameters
    ----------
    title : str
        "part_1", for example.
    folder : Path
    groups : tuple of GroupResult
    differences : tuple of DifferenceResult
        Those that could be tested.
    """

    title: str
    folder: Path
    groups: tuple[GroupResult, ...]
    differences: tuple[DifferenceResult, ...]


@dataclass(frozen=True)
class _Wanted:
    """One folder of maps to make, and what its summary says beside them."""

    title: str
    folder: Path
    comparison: Comparison
    notes: dict[str, Any]


def reconstruct_states(
    run: Run,
    parts: Sequence[int],
    options: ReconstructionConfig | None = None,
    progress: Progress | None = None,
) -> tuple[ReconstructionResult, ...]:
    """Reconstruct the states of each of the parts, reading every image once for all of them.

    Parameters
    ----------
    run : Run
    parts : sequence of int
    options : ReconstructionConfig, optional
        Default: the run's.
    progress : callable, optional
        Told how many images are done, of how many.

    Raises
    ------
    InputError
        If a part has not been focused on.
    """
    directory = run.directory
    inputs = MapInputs.of(directory, options)
    wanted = []
    for part in parts:
        focused = _focused(directory, part)
        rows = inputs.rows_of(focused.names)
        groups = [
            Group(f"state_{k}", inputs.trusted(rows[focused.members(k)]))
            for k in range(1, focused.n_states + 1)
        ]
        pairs = itertools.combinations([group.name for group in groups], 2)
        comparison = Comparison(tuple(groups), tuple(pairs), inputs.part_mask(part))
        wanted.append(_Wanted(f"part_{part}", directory.reconstruction_path(part), comparison, {}))
    return _make(inputs, wanted, progress)


def reconstruct_trajectories(
    run: Run,
    parts: Sequence[int],
    frames: int = FRAMES,
    options: ReconstructionConfig | None = None,
    progress: Progress | None = None,
) -> tuple[ReconstructionResult, ...]:
    """Reconstruct frames along each part's coordinate; neighbours share particles softly.

    Parameters
    ----------
    run : Run
    parts : sequence of int
    frames : int
        At least 3.
    options : ReconstructionConfig, optional
        Default: the run's.
    progress : callable, optional
        Told how many images are done, of how many.

    Raises
    ------
    InputError
        If a part has not been focused on, or the number of frames does not suit.
    """
    directory = run.directory
    inputs = MapInputs.of(directory, options)
    wanted = []
    for part in parts:
        focused = _focused(directory, part)
        rows = inputs.rows_of(focused.names)
        groups, described = [], []
        for number, weight in enumerate(soft_windows(focused.coordinate, frames), start=1):
            used = np.flatnonzero((weight > 0) & inputs.counted[rows])
            groups.append(Group(f"frame_{number}", rows[used], weight[used]))
            described.append(
                {
                    "frame": number,
                    "mean_coordinate": float(np.average(focused.coordinate, weights=weight)),
                    "lowest_coordinate": float(focused.coordinate[used].min()),
                    "highest_coordinate": float(focused.coordinate[used].max()),
                    "effective_particles": effective_count(weight),
                }
            )
        # the last frame and the first: windows that share no particle
        pairs = ((groups[-1].name, groups[0].name),)
        wanted.append(
            _Wanted(
                f"part_{part} along its coordinate",
                directory.trajectory_maps_path(part),
                Comparison(tuple(groups), pairs, inputs.part_mask(part)),
                {"frames": described},
            )
        )
    return _make(inputs, wanted, progress)


def reconstruct_selection(
    run: Run,
    selection: str,
    part: int | None = None,
    options: ReconstructionConfig | None = None,
    progress: Progress | None = None,
) -> ReconstructionResult:
    """Reconstruct the particles of a selection, all others, and their difference.

    Parameters
    ----------
    run : Run
    selection : str
        Name of a selection of the run, or a .csv file with a column ``name``.
    part : int, optional
        Part whose mask differences are looked at in.
    options : ReconstructionConfig, optional
        Default: the run's.
    progress : callable, optional
        Told how many images are done, of how many.

    Raises
    ------
    InputError
        If the selection is missing, empty or names unknown particles.
    """
    directory = run.directory
    inputs = MapInputs.of(directory, options)
    file = Path(selection)
    path = file if file.suffix else run.root / "selections" / f"{selection}.csv"
    chosen = selected_rows(path, inputs.particles)
    rest = np.setdiff1d(np.arange(len(inputs.particles)), chosen)
    groups = [Group("selected", chosen)] + ([Group("rest", rest)] if len(rest) else [])
    mask = None if part is None else inputs.part_mask(part)
    (made,) = _make(
        inputs,
        [
            _Wanted(
                path.stem,
                directory.selection_maps_path(path.stem),
                Comparison(tuple(groups), (("selected", "rest"),), mask),
                {"selection": str(path)},
            )
        ],
        progress,
    )
    return made


def _focused(run: RunDirectory, part: int) -> FocusedParticles:
    path = run.require(run.focus_path(part), f"cryoparts focus {run.root} --part {part}")
    return FocusedParticles.load(path)


def _make(
    inputs: MapInputs, wanted: Sequence[_Wanted], progress: Progress | None
) -> tuple[ReconstructionResult, ...]:
    """Reconstruct all that is wanted in one pass over the images, and write it."""
    comparisons = [each.comparison for each in wanted]
    options = inputs.within_memory()
    total, done = images_to_read(inputs.particles, comparisons, options), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    made = reconstruct_groups(
        inputs.particles,
        comparisons,
        options,
        model_mask=inputs.model_mask,
        given_mask=inputs.given_mask,
        threads=inputs.threads,
        seed=inputs.seed,
        device=inputs.device,
        progress=advance,
    )
    frame, known = MapFrame.load(inputs.run.root), independence(inputs)
    results = []
    for each, maps in zip(wanted, made, strict=True):
        notes = known | each.notes
        write_part_maps(each.folder, maps, inputs.surroundings, notes, frame, inputs.options)
        results.append(_result(each, maps))
    return tuple(results)


def _result(wanted: _Wanted, maps: PartMaps) -> ReconstructionResult:
    groups = [
        GroupResult(name, of.effective_particles, of.resolution_angstrom, of.note)
        for name, of in ((name, made.reconstruction) for name, made in maps.groups.items())
    ]
    differences = [
        DifferenceResult(
            first,
            second,
            float(found.significant.sum()) * found.pixel_size_angstrom**3,
            float(np.abs(found.z_score[found.tested]).max(initial=0.0)),
        )
        for (first, second), found in maps.differences.items()
        if found.z_score is not None and found.significant is not None
    ]
    return ReconstructionResult(wanted.title, wanted.folder, tuple(groups), tuple(differences))
