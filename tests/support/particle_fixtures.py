"""Small particle files of every kind, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cryoparts.conventions import CtfParameters, Poses
from cryoparts.io.mrc import write_stack
from cryoparts.particle_files.particle_table import ParticleTable


@pytest.fixture(scope="session")
def stack_maker() -> Callable[..., Path]:
    """Write a stack of noise; returns its path."""

    def make(path: Path, count: int = 4, box: int = 16, pixel: float = 2.5) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        images = np.random.default_rng(count).normal(size=(count, box, box)).astype(np.float32)
        write_stack(path, iter([images]), count=count, box_size=box, pixel_size_angstrom=pixel)
        return path

    return make


@pytest.fixture(scope="session")
def table_maker() -> Callable[..., ParticleTable]:
    """A table of P random particles in one stack."""

    def make(stack: Path, count: int = 4, box: int = 16, pixel: float = 2.5) -> ParticleTable:
        rng = np.random.default_rng(7)
        rotation = np.linalg.qr(rng.normal(size=(count, 3, 3)))[0]
        rotation[np.linalg.det(rotation) < 0, 0] *= -1
        zero, one = np.zeros(count), np.ones(count)
        return ParticleTable(
            names=np.array([f"{i + 1:06d}@{stack.name}" for i in range(count)]),
            stack_paths=(stack,),
            stack_of_particle=np.zeros(count, dtype=np.int64),
            slice_in_stack=np.arange(count),
            poses=Poses(rotation, rng.normal(size=(count, 2)) * 5),
            ctf=CtfParameters(
                rng.uniform(1e4, 2e4, count),
                rng.uniform(1e4, 2e4, count),
                rng.uniform(-90, 90, count),
                300 * one,
                2.7 * one,
                0.1 * one,
                zero,
                zero,
                one,
            ),
            pixel_size_angstrom=pixel * one,
            box_size=np.full(count, box),
            optics_group=np.ones(count, dtype=np.int64),
            half_set=(np.arange(count) % 2 + 1).astype(np.int8),
            source=stack.with_suffix(".star"),
            format="relion",
        )

    return make
