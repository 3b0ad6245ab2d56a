"""Simulated particles of a lopsided molecule, with their table and stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoparts.conventions import CtfParameters, Poses
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import frequency_axes, inverse_transform, shift_phases
from cryoparts.io.mrc import write_stack
from cryoparts.particle_files.particle_table import ParticleTable

PIXEL, BOX = 2.0, 64


def random_table(count: int, stack: Path, seed: int, box: int, pixel: float) -> ParticleTable:
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(count, 3, 3)))[0]
    rotation[np.linalg.det(rotation) < 0, 0] *= -1
    one = np.ones(count)
    defocus = rng.uniform(1e4, 2e4, count)
    return ParticleTable(
        names=np.array([f"{i + 1:06d}@{stack.name}" for i in range(count)]),
        stack_paths=(stack,),
        stack_of_particle=np.zeros(count, dtype=np.int64),
        slice_in_stack=np.arange(count),
        poses=Poses(rotation, rng.uniform(-8, 8, size=(count, 2))),
        ctf=CtfParameters(
            defocus + 200,
            defocus - 200,
            rng.uniform(0, 180, count),
            300 * one,
            2.7 * one,
            0.1 * one,
            0 * one,
            0 * one,
            one,
        ),
        pixel_size_angstrom=pixel * one,
        box_size=np.full(count, box),
        optics_group=np.ones(count, dtype=np.int64),
        half_set=np.zeros(count, dtype=np.int8),
        source=stack.with_suffix(".star"),
        format="relion",
    )


def project(table: ParticleTable, *, with_ctf: bool = True, width: float = 6.0) -> np.ndarray:
    """Twelve Gaussians within 25 Å of the centre, by plane waves; all of one pixel size."""
    box, pixel = int(table.box_size[0]), float(table.pixel_size_angstrom[0])
    points = np.random.default_rng(99).normal(size=(12, 3)) * 12
    seen = torch.as_tensor(points @ table.poses.rotation.transpose(0, 2, 1))[..., :2]
    kx, ky = frequency_axes(box, pixel, dtype=torch.float64)
    along_x = torch.exp(-2j * torch.pi * seen[..., :1] * kx)
    along_y = torch.exp(-2j * torch.pi * seen[..., 1:] * ky)
    planes = torch.einsum("pny,pnx->pyx", along_y, along_x)
    planes = planes * torch.exp(-2 * torch.pi**2 * width**2 * (kx**2 + ky[:, None] ** 2))
    planes = planes * shift_phases(torch.as_tensor(table.poses.shift_angstrom), box, pixel)
    if with_ctf:
        planes = planes * contrast_transfer(table.ctf, box, pixel)
    return inverse_transform(planes).numpy().astype(np.float32)


@pytest.fixture(scope="session")
def clean_images() -> Callable[..., np.ndarray]:
    """Images (P, D, D) of a table without noise."""
    return project


@pytest.fixture(scope="session")
def simulate() -> Callable[..., ParticleTable]:
    """Write a stack of simulated particles; returns the table."""

    def make(
        folder: Path,
        count: int = 20,
        *,
        sign: int = 1,
        noise: float = 1.0,
        box: int = BOX,
        pixel: float = PIXEL,
        seed: int = 0,
        offset: float = 0.0,
        **changes,
    ) -> ParticleTable:
        table = random_table(count, folder / f"s{seed}.mrcs", seed, box, pixel)
        table = replace(table, **changes)
        images = sign * project(table)
        images = images / images.std() + offset
        rng = np.random.default_rng(seed + 1)
        images += (noise * rng.normal(size=images.shape)).astype(np.float32)
        write_stack(
            table.stack_paths[0],
            iter([images]),
            count=count,
            box_size=box,
            pixel_size_angstrom=pixel,
        )
        return table

    return make
