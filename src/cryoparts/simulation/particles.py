"""From projections to a folder of noisy particle images with their table."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import torch

from cryoparts.errors import InputError
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import frequency_grid, inverse_transform, ring_weights, transform
from cryoparts.io.atomic import make_folder_atomically
from cryoparts.io.mrc import write_stack
from cryoparts.particle_files.particle_table import ParticleTable
from cryoparts.particle_files.relion import write_relion

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.conventions import Poses
    from cryoparts.simulation.acquisition import Acquisition
    from cryoparts.simulation.options import ImagingOptions, Progress

STACK_FILE = "particles.mrcs"
TABLE_FILE = "particles.star"
VALUES_IN_A_BATCH = 2**23
"""Pixels of the fine grids worked on at once: bounds the memory, whatever the box."""
FINE_PIXELS_PER_PIXEL = 9


class Scene(Protocol):
    """What is in front of the microscope."""

    def batches(self, n_particles: int, batch: int) -> Iterator[NDArray[np.int64]]:
        """All particles once, `batch` at most at a time, in the order easiest to project."""

    def half_planes(self, rows: NDArray[np.int64], poses: Poses) -> NDArray[np.complex64]:
        """Projections of the particles `rows`, whose poses are given, shifts applied."""


def in_order(n_particles: int, batch: int) -> Iterator[NDArray[np.int64]]:
    """0 .. n_particles - 1 in runs of at most `batch`."""
    for start in range(0, n_particles, batch):
        yield np.arange(start, min(start + batch, n_particles))


@dataclass(frozen=True)
class WrittenParticles:
    """What truth.npz needs to know about the images.

    Parameters
    ----------
    names : str array, shape (P,)
        As the particle table will give them.
    image_scale : float
        Factor from projected scattering mass to the units of the images.
    """

    names: NDArray[np.str_]
    image_scale: float


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `folder`, renamed to it if the block succeeds.

    Raises
    ------
    InputError
        If `folder` exists.
    """
    if folder.exists():
        raise InputError(
            str(folder), "exists already", "Choose another output folder, or remove this one."
        )
    with make_folder_atomically(folder) as partial:
        yield partial


def write_particles(
    folder: Path,
    scene: Scene,
    acquisition: Acquisition,
    options: ImagingOptions,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> WrittenParticles:
    """Project, apply the CTF, add noise and write particles.star and particles.mrcs.

    The clean images are made first and lie in a scratch file, because the noise
    is scaled to their mean variance; then the noise is added as the stack is
    written. All noise together has variance 1 (mean over the particles), so the
    clean images have the variance `options.snr`; without noise they have 1.

    Parameters
    ----------
    folder : Path
        Exists; gets the two files.
    scene : Scene
    acquisition : Acquisition
    options : ImagingOptions
    rng : numpy Generator
        Of the noise.
    progress : callable, optional
        Called with steps done and all steps: each particle counts once when it
        is projected and once when it is written.
    """
    count, box = options.n_particles, options.box_size
    batch = max(1, min(256, VALUES_IN_A_BATCH // (FINE_PIXELS_PER_PIXEL * box * box)))
    scratch = _Scratch(folder / "clean.raw", count, box)
    variance = np.zeros(count)
    done = 0
    for rows in scene.batches(count, batch):
        planes = torch.from_numpy(scene.half_planes(rows, acquisition.poses.take(rows)))
        ctf = contrast_transfer(acquisition.ctf.take(rows), box, options.pixel_size_angstrom)
        images = inverse_transform(planes * ctf).numpy()
        scratch.store(rows, images)
        variance[rows] = images.var(axis=(1, 2), dtype=np.float64)
        done += len(rows)
        if progress is not None:
            progress(done, 2 * count)
    scale = float(np.sqrt((options.snr or 1.0) / variance.mean()))
    signed = scale if options.contrast == "bright" else -scale

    write_stack(
        folder / STACK_FILE,
        _noisy(scratch, signed, batch, _Noise(acquisition, options, rng), progress),
        count=count,
        box_size=box,
        pixel_size_angstrom=options.pixel_size_angstrom,
    )
    scratch.path.unlink()
    table = _table(folder, acquisition, options)
    write_relion(folder / TABLE_FILE, table)
    return WrittenParticles(table.names, scale)


@dataclass(frozen=True)
class _Scratch:
    """Images in a file that is mapped anew for every batch, so that none of it stays in memory."""

    path: Path
    count: int
    box_size: int

    def _mapped(self) -> NDArray[np.float32]:
        shape = (self.count, self.box_size, self.box_size)
        mode: Literal["r+", "w+"] = "r+" if self.path.exists() else "w+"
        return np.memmap(self.path, np.float32, mode, shape=shape)

    def store(self, rows: NDArray[np.int64], images: NDArray[np.float32]) -> None:
        self._mapped()[rows] = images

    def load(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The images of `rows`, a copy."""
        return np.asarray(self._mapped()[rows])


def _noisy(
    scratch: _Scratch, factor: float, batch: int, noise: _Noise, progress: Progress | None
) -> Iterator[NDArray[np.float32]]:
    """The clean images times `factor` plus noise, in order, batch by batch."""
    for rows in in_order(scratch.count, batch):
        yield np.float32(factor) * scratch.load(rows) + noise.draw(rows)
        if progress is not None:
            progress(scratch.count + int(rows[-1]) + 1, 2 * scratch.count)


class _Noise:
    """White noise of the detector plus noise of the sample that passed the CTF."""

    def __init__(
        self, acquisition: Acquisition, options: ImagingOptions, rng: np.random.Generator
    ) -> None:
        self._ctf, self._options, self._rng = acquisition.ctf, options, rng
        box, pixel = options.box_size, options.pixel_size_angstrom
        reach = 2.0 * np.pi * options.coloured_noise_correlation_angstrom
        squared = frequency_grid(box, pixel).square().sum(dim=-1)
        gain = (1.0 + reach**2 * squared).rsqrt()
        # Every particle's CTF lets another share through: scale to their mean.
        weights = ring_weights(box)
        passed = 0.0
        for rows in in_order(len(acquisition.ctf), 256):
            ctf = contrast_transfer(acquisition.ctf.take(rows), box, pixel)
            passed += (
                float(((gain * ctf).abs().square() * weights).sum(dtype=torch.float64)) / box**2
            )
        self._gain = gain * (len(acquisition.ctf) / passed) ** 0.5

    def draw(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Noise of variance 1, shape (len(rows), D, D); 0 where none is asked for."""
        options = self._options
        box = options.box_size
        if options.snr is None:
            return np.zeros((len(rows), box, box), dtype=np.float32)
        shape = (len(rows), 2, box, box)
        white, sample = np.moveaxis(self._rng.standard_normal(shape, dtype=np.float32), 1, 0)
        fraction = np.float32(options.coloured_noise_fraction)
        noise: NDArray[np.float32] = np.sqrt(1 - fraction) * white
        if fraction > 0:
            ctf = contrast_transfer(self._ctf.take(rows), box, options.pixel_size_angstrom)
            planes = transform(torch.from_numpy(np.ascontiguousarray(sample))) * self._gain * ctf
            noise = noise + np.sqrt(fraction) * inverse_transform(planes).numpy()
        return noise


def _table(folder: Path, acquisition: Acquisition, options: ImagingOptions) -> ParticleTable:
    count = options.n_particles
    whole = np.ones(count, dtype=np.int64)
    return ParticleTable(
        names=np.array([f"{row + 1:06d}@{STACK_FILE}" for row in range(count)]),
        stack_paths=(folder / STACK_FILE,),
        stack_of_particle=0 * whole,
        slice_in_stack=np.arange(count),
        poses=acquisition.poses,
        ctf=acquisition.ctf,
        pixel_size_angstrom=options.pixel_size_angstrom * np.ones(count),
        box_size=options.box_size * whole,
        optics_group=whole,
        half_set=acquisition.half_set,
        source=folder / TABLE_FILE,
        format="relion",
    )
