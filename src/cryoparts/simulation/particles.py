"""From projections to a folder of noisy particle images with their table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import frequency_grid, inverse_transform, ring_weights, transform
from cryoparts.io.mrc import write_stack
from cryoparts.io.positioned import read_rows_at, write_rows_at
from cryoparts.particle_files.particle_table import ParticleTable
from cryoparts.particle_files.relion import write_relion
from cryoparts.simulation.nuisances.junk import WIDER, JunkImages
from cryoparts.simulation.scene import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.simulation.nuisances.draw import Disturbance
    from cryoparts.simulation.nuisances.junk import JunkMaterial
    from cryoparts.simulation.options import ImagingOptions, Progress
    from cryoparts.simulation.scene import Scene

STACK_FILE = "particles.mrcs"
TABLE_FILE = "particles.star"
VALUES_IN_A_BATCH = 2**23
"""Pixels of the fine grids worked on at once: bounds the memory, whatever the box."""
FINE_PIXELS_PER_PIXEL = 9
"""Values of the finer grid that projections are made on, for each pixel of an image: 3 by 3."""


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


def write_particles(
    folder: Path,
    scene: Scene,
    disturbance: Disturbance,
    options: ImagingOptions,
    rng: np.random.Generator,
    progress: Progress | None = None,
    junk: tuple[Callable[[], JunkMaterial], np.random.Generator] | None = None,
) -> WrittenParticles:
    """Project, apply the CTF, add noise and write particles.star and particles.mrcs.

    The clean images are made first and lie in a scratch file, because the noise
    is scaled to their mean variance; then the noise is added as the stack is
    written. All noise together has variance 1 (mean over the particles), so the
    clean images have the variance `options.snr`; without noise they have 1. Junk
    does not count.

    Parameters
    ----------
    folder : Path
        Exists; gets the two files.
    scene : Scene
    disturbance : Disturbance
        Poses and CTFs, as they are and as they are given; which images are junk.
    options : ImagingOptions
    rng : numpy Generator
        Of the noise.
    progress : callable, optional
        Called with steps done and all steps: each particle counts once when it
        is projected and once when it is written.
    junk : (callable, numpy Generator), optional
        Gives what junk is made of, and its random numbers; needed where there is any.
    """
    count, box = options.n_particles, options.box_size
    batch = max(1, min(256, VALUES_IN_A_BATCH // (FINE_PIXELS_PER_PIXEL * box * box)))
    scratch = _Scratch(folder / "clean.raw", count, box)
    variance = np.zeros(count)
    done = 0

    def made(rows: NDArray[np.int64], images: NDArray[np.float32]) -> None:
        nonlocal done
        scratch.store(rows, images)
        done += len(rows)
        if progress is not None:
            progress(done, 2 * count)

    is_junk = disturbance.is_junk
    for rows in scene.batches(count, batch):
        particles = rows[~is_junk[rows]]
        for factor in np.unique(disturbance.magnification[particles]).tolist():
            own = particles[disturbance.magnification[particles] == factor]
            images = _clean_images(scene, own, factor, disturbance, options)
            variance[own] = images.var(axis=(1, 2), dtype=np.float64)
            made(own, images)
    scale = float(np.sqrt((options.snr or 1.0) / variance[~is_junk].mean()))
    if junk is not None and is_junk.any():
        for rows, images in _junk_images(scene, disturbance, options, batch, 1.0 / scale, *junk):
            made(rows, images)
    signed = scale if options.contrast == "bright" else -scale

    write_stack(
        folder / STACK_FILE,
        _noisy(scratch, signed, batch, _Noise(disturbance, options, rng), progress),
        count=count,
        box_size=box,
        pixel_size_angstrom=options.pixel_size_angstrom,
    )
    scratch.path.unlink()
    table = _table(folder, disturbance, options)
    write_relion(folder / TABLE_FILE, table)
    return WrittenParticles(table.names, scale)


def _clean_images(
    scene: Scene,
    rows: NDArray[np.int64],
    magnification: float,
    disturbance: Disturbance,
    options: ImagingOptions,
) -> NDArray[np.float32]:
    """Images (n, D, D) of particles, CTF applied, in units of projected mass."""
    box, pixel = options.box_size, options.pixel_size_angstrom
    poses = disturbance.true_poses.take(rows)
    if magnification != 1.0:
        # the centre stays at its pixel, the molecule about it is larger or smaller
        scene = scene.seen_with(box, pixel / magnification)
        poses = replace(poses, shift_angstrom=poses.shift_angstrom / magnification)
    planes = torch.from_numpy(scene.half_planes(rows, poses))
    ctf = contrast_transfer(disturbance.true_ctf.take(rows), box, pixel)
    images: NDArray[np.float32] = inverse_transform(planes * ctf).numpy()
    return images


def _junk_images(
    scene: Scene,
    disturbance: Disturbance,
    options: ImagingOptions,
    batch: int,
    unit: float,
    material: Callable[[], JunkMaterial],
    rng: np.random.Generator,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Rows and images of all junk; `unit` is the noise's standard deviation."""
    box, pixel = options.box_size, options.pixel_size_angstrom
    images = JunkImages(material(), scene.seen_with(WIDER * box, pixel), box, pixel)
    for rows in scene.batches(options.n_particles, batch):
        kinds = disturbance.junk_kind[rows]
        for kind in np.unique(kinds[kinds != ""]).tolist():
            own = rows[kinds == kind]
            poses, ctf = disturbance.true_poses.take(own), disturbance.true_ctf.take(own)
            yield own, images.draw(kind, own, poses, ctf, unit, rng)


@dataclass(frozen=True)
class _Scratch:
    """Images in a file, so that none of them stays in memory."""

    path: Path
    count: int
    box_size: int

    def store(self, rows: NDArray[np.int64], images: NDArray[np.float32]) -> None:
        self.path.touch()
        write_rows_at(self.path, rows, images.astype(np.float32, copy=False))

    def load(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The images of `rows`, a copy."""
        shape = (self.count, self.box_size, self.box_size)
        return read_rows_at(self.path, rows, shape=shape, dtype=np.dtype(np.float32), offset=0)


def _noisy(
    scratch: _Scratch, factor: float, batch: int, noise: _Noise, progress: Progress | None
) -> Iterator[NDArray[np.float32]]:
    """The clean images times `factor` plus noise and background, in order, batch by batch."""
    for rows in in_order(scratch.count, batch):
        yield np.float32(factor) * scratch.load(rows) + noise.draw(rows)
        if progress is not None:
            progress(scratch.count + int(rows[-1]) + 1, 2 * scratch.count)


class _Noise:
    """White noise of the detector, noise of the sample that passed the CTF, and background."""

    def __init__(
        self, disturbance: Disturbance, options: ImagingOptions, rng: np.random.Generator
    ) -> None:
        self._options, self._rng = options, rng
        self._background = disturbance.background
        count = len(disturbance.true_ctf)
        # a particle's contrast and its own blur are not the noise's
        self._ctf = replace(disturbance.true_ctf, scale=np.ones(count), b_factor=np.zeros(count))
        box, pixel = options.box_size, options.pixel_size_angstrom
        reach = 2.0 * np.pi * options.coloured_noise_correlation_angstrom
        squared = frequency_grid(box, pixel).square().sum(dim=-1)
        gain = (1.0 + reach**2 * squared).rsqrt()
        # Every particle's CTF lets another share through: scale to their mean.
        weights = ring_weights(box)
        passed = 0.0
        for rows in in_order(count, 256):
            ctf = contrast_transfer(self._ctf.take(rows), box, pixel)
            power = (gain * ctf).abs().square() * weights
            passed += float(power.sum(dtype=torch.float64)) / box**2
        self._gain = gain * (count / passed) ** 0.5

    def draw(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Noise of variance 1, shape (len(rows), D, D), and background; 0 where none is asked."""
        options = self._options
        box = options.box_size
        if options.snr is None:
            return np.zeros((len(rows), box, box), dtype=np.float32) + self._rise(rows)
        shape = (len(rows), 2, box, box)
        white, sample = np.moveaxis(self._rng.standard_normal(shape, dtype=np.float32), 1, 0)
        fraction = np.float32(options.coloured_noise_fraction)
        noise: NDArray[np.float32] = np.sqrt(1 - fraction) * white
        if fraction > 0:
            ctf = contrast_transfer(self._ctf.take(rows), box, options.pixel_size_angstrom)
            planes = transform(torch.from_numpy(np.ascontiguousarray(sample))) * self._gain * ctf
            noise = noise + np.sqrt(fraction) * inverse_transform(planes).numpy()
        return noise + self._rise(rows)

    def _rise(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Planes (n, D, D) of each particle's background, of mean 0; or (1, 1, 1) of 0."""
        slope = self._background[rows]
        if not slope.any():
            return np.zeros((1, 1, 1), dtype=np.float32)
        along = (np.arange(self._options.box_size) + 0.5) / self._options.box_size - 0.5
        plane = slope[:, :1, None] * along + slope[:, 1:, None] * along[:, None]
        return plane.astype(np.float32)


def _table(folder: Path, disturbance: Disturbance, options: ImagingOptions) -> ParticleTable:
    count = options.n_particles
    whole = np.ones(count, dtype=np.int64)
    return ParticleTable(
        names=np.array([f"{row + 1:06d}@{STACK_FILE}" for row in range(count)]),
        stack_paths=(folder / STACK_FILE,),
        stack_of_particle=0 * whole,
        slice_in_stack=np.arange(count),
        poses=disturbance.given_poses,
        ctf=disturbance.given_ctf,
        pixel_size_angstrom=options.pixel_size_angstrom * np.ones(count),
        box_size=options.box_size * whole,
        optics_group=disturbance.optics_group,
        half_set=disturbance.half_set,
        source=folder / TABLE_FILE,
        format="relion",
    )
