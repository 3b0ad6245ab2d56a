"""Particles drawn from a set of density maps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path  # noqa: TC003 - the command line reads the annotations
from typing import TYPE_CHECKING, Self

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.mrc import read_map, write_map
from cryoparts.simulation.data_set import IMAGING, NOISE, Content, Finish, Random, simulate
from cryoparts.simulation.ground_truth import MapsTruth
from cryoparts.simulation.map_projection import FourierMap, project_map
from cryoparts.simulation.scene_options import MapsOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cryoparts.conventions import Poses
    from cryoparts.io.mrc import DensityMap
    from cryoparts.simulation.nuisances.options import Nuisances
    from cryoparts.simulation.options import ImagingOptions, Progress

SAME_VOXEL = 1e-3
"""Largest relative difference of voxel sizes that count as the same."""

MASS_ABOVE = 0.2
"""Voxels above this share of the mean map's highest are the molecule that junk is made of."""


@dataclass(frozen=True)
class MapsScene:
    """Particles each of which shows one of the maps; one map at a time is in memory."""

    paths: tuple[Path, ...]
    voxel_size_angstrom: float
    map_index: NDArray[np.int64]
    box_size: int
    pixel_size_angstrom: float
    latest: _LatestMap = field(default_factory=lambda: _LatestMap(), repr=False, compare=False)

    def batches(self, n_particles: int, batch: int) -> Iterator[NDArray[np.int64]]:
        """The particles of the first map, then of the second and so on."""
        for number in range(len(self.paths)):
            rows = np.flatnonzero(self.map_index[:n_particles] == number)
            for start in range(0, len(rows), batch):
                yield rows[start : start + batch]

    def half_planes(self, rows: NDArray[np.int64], poses: Poses) -> NDArray[np.complex64]:
        """Projections (n, D, D // 2 + 1) of the particles `rows`, all of one map."""
        (number,) = np.unique(self.map_index[rows])
        return project_map(
            self.latest.transform(int(number), self),
            poses.rotation,
            poses.shift_angstrom,
            self.box_size,
            self.pixel_size_angstrom,
        )

    def seen_with(self, box_size: int, pixel_size_angstrom: float) -> Self:
        """The same particles in another box."""
        return replace(self, box_size=box_size, pixel_size_angstrom=pixel_size_angstrom)


class _LatestMap:
    """Keeps the transform asked for last."""

    def __init__(self) -> None:
        self._number = -1
        self._transform: FourierMap | None = None

    def transform(self, number: int, scene: MapsScene) -> FourierMap:
        if self._transform is None or number != self._number:
            self._transform = None  # let go of the old one before the new one is made
            voxel = scene.voxel_size_angstrom
            density = read_map(scene.paths[number], voxel_size=voxel).density
            self._number, self._transform = number, FourierMap.of(density, voxel)
        return self._transform


def simulate_maps(
    maps: Sequence[Path],
    folder: Path,
    imaging: ImagingOptions,
    options: MapsOptions | None = None,
    progress: Progress | None = None,
    nuisances: Nuisances | None = None,
    finish: Finish | None = None,
) -> Path:
    """Simulate a data set of particles drawn from a set of maps.

    Writes particles.star, particles.mrcs, model.mrc (the mean of the maps, each
    as often as it is drawn on average, with their voxels) and truth.npz.

    Parameters
    ----------
    maps : sequence of Path
        Maps of the same side and voxel size, about their central voxel.
    folder, imaging, progress, nuisances, finish
        See `simulate`, whose errors and result are this one's.
    options : MapsOptions, optional
    """
    chosen = MapsOptions() if options is None else options

    def content(random: Random) -> Content:
        weights = _weights(maps, chosen)
        mean, voxel = _mean_map(maps, weights, chosen.voxel_size_angstrom)
        _require_room(maps[0], len(mean) * voxel, imaging)
        map_index = random["state"].choice(len(maps), size=imaging.n_particles, p=weights)
        filled = np.argwhere(mean > MASS_ABOVE * mean.max())
        return Content(
            MapsScene(tuple(maps), voxel, map_index, imaging.box_size, imaging.pixel_size_angstrom),
            lambda folder: write_map(folder / "model.mrc", mean, voxel),
            partial(
                MapsTruth,
                map_index=map_index,
                map_names=np.array([path.name for path in maps]),
            ),
            (filled[:, ::-1] - len(mean) // 2) * voxel,
            mean[tuple(filled.T)],
        )

    streams = (IMAGING, "state", NOISE)
    return simulate(folder, imaging, content, streams, progress, nuisances, finish)


def _weights(maps: Sequence[Path], options: MapsOptions) -> NDArray[np.float64]:
    if not maps:
        raise InputError("maps", "none is given", "Give one .mrc file at least.")
    if options.weights is None:
        return np.full(len(maps), 1.0 / len(maps))
    if len(options.weights) != len(maps):
        raise InputError(
            "--weights",
            f"must be one number for each of the {len(maps)} maps, got {len(options.weights)}",
            "Give as many weights as maps.",
        )
    given = np.array(options.weights, dtype=np.float64)
    weights: NDArray[np.float64] = given / given.sum()
    return weights


def _mean_map(
    maps: Sequence[Path], weights: NDArray[np.float64], voxel_size: float | None
) -> tuple[NDArray[np.float32], float]:
    """The weighted mean of the maps and their voxel size, Å."""
    first = read_map(maps[0], voxel_size=voxel_size)
    mean = np.zeros(first.density.shape, dtype=np.float64)
    for path, weight in zip(maps, weights, strict=True):
        read = read_map(path, voxel_size=voxel_size)
        _require_like(read, first, path, maps[0])
        mean += weight * read.density
    return mean.astype(np.float32), first.voxel_size


def _require_room(path: Path, extent_angstrom: float, imaging: ImagingOptions) -> None:
    available = imaging.box_size * imaging.pixel_size_angstrom
    if available < (1.0 - SAME_VOXEL) * extent_angstrom:
        raise InputError(
            str(path),
            f"is {extent_angstrom:.1f} Å across, the box of {imaging.box_size} pixels of "
            f"{imaging.pixel_size_angstrom:g} Å only {available:.1f} Å",
            "Take a larger --box-size or --pixel-size.",
        )


def _require_like(read: DensityMap, first: DensityMap, path: Path, first_path: Path) -> None:
    shape = read.density.shape
    if len(set(shape)) != 1:
        raise InputError(str(path), f"must be a cube, its shape is {shape}", "Pad or crop it.")
    differs = abs(read.voxel_size / first.voxel_size - 1.0) > SAME_VOXEL
    if shape != first.density.shape or differs:
        raise InputError(
            str(path),
            f"has {shape[0]} voxels of {read.voxel_size:g} Å, {first_path} has "
            f"{first.density.shape[0]} of {first.voxel_size:g} Å",
            "Resample the maps to the same grid.",
        )
