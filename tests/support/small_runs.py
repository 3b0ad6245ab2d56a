"""Particles of a few Gaussians, and the options of a run that takes a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from cryoparts.config import ModelConfig, PreprocessingConfig, RunConfig, TrainingConfig
from cryoparts.conventions import CtfParameters, Poses
from cryoparts.gaussians.model import GaussianModel
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import frequency_axes, inverse_transform, shift_phases
from cryoparts.io.mrc import write_stack
from cryoparts.particle_files.particle_table import ParticleTable
from cryoparts.particle_files.relion_writing import write_relion

BOX, PIXEL, COUNT = 32, 6.0, 60


def small_data(
    folder: Path,
    count: int = COUNT,
    *,
    name: str = "p",
    half_set: np.ndarray | None = None,
    alike: bool = False,
    change: Callable[[np.ndarray], np.ndarray] = lambda images: images,
    seed: int = 0,
) -> Path:
    """Write a .star, its stack and model.npz into a folder; returns the .star.

    Parameters
    ----------
    folder : Path
    count : int
        Particles; in every second the last four of twelve Gaussians are absent.
    name : str
        Of .star and stack.
    half_set : int array, shape (count,), optional
    alike : bool
        Whether all particles are the same, noise and all.
    change : callable
        What becomes of the images (count, D, D) before they are written.
    seed : int
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    points = np.random.default_rng(99).normal(size=(12, 3)) * 18
    GaussianModel.of(points, np.ones(12), np.full(12, 8.0)).save(folder / "model.npz")
    rotation = np.linalg.qr(random.normal(size=(count, 3, 3)))[0]
    rotation[np.linalg.det(rotation) < 0, 0] *= -1
    one = np.ones(count)
    defocus, shift = random.uniform(1e4, 2e4, count), random.uniform(-6, 6, (count, 2))
    table = ParticleTable(
        names=np.array([f"{i + 1:06d}@{name}.mrcs" for i in range(count)]),
        stack_paths=(folder / f"{name}.mrcs",),
        stack_of_particle=np.zeros(count, dtype=np.int64),
        slice_in_stack=np.arange(count),
        poses=Poses(rotation, shift),
        ctf=CtfParameters(
            defocus + 100, defocus - 100, random.uniform(0, 180, count), 300 * one, 2.7 * one,
            0.1 * one, 0 * one, 0 * one, one,
        ),
        pixel_size_angstrom=PIXEL * one,
        box_size=np.full(count, BOX),
        optics_group=np.ones(count, dtype=np.int64),
        half_set=(np.arange(count) % 2 + 1).astype(np.int8) if half_set is None else half_set,
        source=folder / f"{name}.star",
        format="relion",
    )  # fmt: skip
    present = np.ones((count, 12))
    present[::2, 8:] = 0
    if alike:
        table = table.take(np.zeros(count, dtype=np.int64))
        table.names[:] = [f"{i + 1:06d}@{name}.mrcs" for i in range(count)]
        table.slice_in_stack[:] = np.arange(count)
        present[:] = 1
    images = _projected(table, points, present)
    noise = random.normal(size=images.shape)
    images = images / images.std() + (noise[:1] if alike else noise)
    write_stack(
        table.stack_paths[0], iter([change(images).astype(np.float32)]),
        count=count, box_size=BOX, pixel_size_angstrom=PIXEL,
    )  # fmt: skip
    write_relion(table.source, table)
    return table.source


def _projected(table: ParticleTable, points: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Images (P, D, D) of Gaussians by plane waves, with CTF."""
    seen = torch.as_tensor(points @ table.poses.rotation.transpose(0, 2, 1))[..., :2]
    kx, ky = frequency_axes(BOX, PIXEL, dtype=torch.float64)
    along_x = torch.exp(-2j * torch.pi * seen[..., :1] * kx)
    along_y = torch.exp(-2j * torch.pi * seen[..., 1:] * ky)
    amplitude = torch.as_tensor(present, dtype=torch.complex128)
    planes = torch.einsum("pn,pny,pnx->pyx", amplitude, along_y, along_x)
    planes = planes * torch.exp(-2 * torch.pi**2 * 8.0**2 * (kx**2 + ky[:, None] ** 2))
    planes = planes * shift_phases(torch.as_tensor(table.poses.shift_angstrom), BOX, PIXEL)
    planes = planes * contrast_transfer(table.ctf, BOX, PIXEL)
    return np.asarray(inverse_transform(planes))


def small_config(star: Path, folder: Path) -> RunConfig:
    """Options of a run of `small_data`."""
    return RunConfig(
        particles=str(star),
        model=str(folder / "model.npz"),
        gaussians=ModelConfig(),
        preprocessing=PreprocessingConfig(box_size=BOX),
        training=TrainingConfig(decoder="mlp", epochs=2, threads=1, latent_dimensions=2),
    )


def small_arguments(star: Path, folder: Path) -> list[str]:
    """The same on the command line, but for -o."""
    return [
        str(star), "--model", str(folder / "model.npz"), "--box-size", str(BOX), "--decoder", "mlp",
        "--epochs", "2", "--threads", "1", "--latent-dimensions", "2",
    ]  # fmt: skip
