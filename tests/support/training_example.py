"""A small data set whose truth is Gaussians: half of them come and go together, or move."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cryoparts.config import RunConfig, TrainingConfig
from cryoparts.conventions import CtfParameters
from cryoparts.gaussians.model import GaussianModel
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import inverse_transform, shift_phases
from cryoparts.imaging.projection import project
from cryoparts.io.run_directory import RunDirectory
from cryoparts.parts.part_labels import PartLabels

if TYPE_CHECKING:
    from collections.abc import Callable

BOX, PIXEL = 32, 5.0
PARTICLES = 96


@dataclass(frozen=True)
class Example:
    """A run folder with particles and model, and which particles lack the optional Gaussians."""

    run: RunDirectory
    optional: np.ndarray
    present: np.ndarray


def make_example(
    folder: Path,
    config: TrainingConfig,
    noise: float = 0.5,
    displaced: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> Example:
    """Make a run; ``displaced`` takes all positions and the mask of the optional half.

    It returns displacements (P, N, 3) in Å; then all Gaussians are there in every particle.
    """
    random = np.random.default_rng(0)
    positions = random.uniform(-35, 35, size=(40, 3))
    positions[:, 0] += np.where(np.arange(40) < 20, -15, 15)
    model = GaussianModel.of(positions, random.uniform(1, 2, 40), random.uniform(5, 7, 40))
    optional = np.arange(40) >= 20
    present = random.random(PARTICLES) < (0.5 if displaced is None else 1.1)
    amplitudes = model.amplitudes * np.where(present[:, None] | ~optional, 1.0, 0.0)
    shifts = random.normal(scale=4.0, size=(PARTICLES, 2))
    rotations = Rotation.random(PARTICLES, random_state=1).as_matrix()

    def column(value: float) -> np.ndarray:
        return np.full(PARTICLES, value)

    ctf = CtfParameters(
        random.uniform(8000, 20000, PARTICLES),
        random.uniform(8000, 20000, PARTICLES),
        column(30),
        column(300),
        column(2.7),
        column(0.1),
        column(0),
        column(0),
        column(1),
    )
    places = model.positions
    if displaced is not None:
        places = (places + displaced(places, optional)).astype(np.float32)
    half_planes = project(
        torch.as_tensor(places),
        torch.as_tensor(amplitudes, dtype=torch.float32),
        torch.as_tensor(model.widths),
        torch.as_tensor(rotations, dtype=torch.float32),
        BOX,
        PIXEL,
    ) * contrast_transfer(ctf, BOX, PIXEL)
    half_planes = half_planes * shift_phases(
        torch.as_tensor(shifts, dtype=torch.float32), BOX, PIXEL
    )
    images = inverse_transform(half_planes).numpy()
    images = images + noise * images.std() * random.normal(size=images.shape)
    run = RunDirectory.create(folder, RunConfig("p.star", "m.cif", training=config), [])
    model.save(run.gaussians_path)
    run.particles_path.mkdir()
    np.save(run.particles_path / "images.npy", images.astype(np.float32))
    np.savez(
        run.particles_path / "particles.npz",
        names=np.array([f"{i + 1:06d}@stack.mrcs".encode() for i in range(PARTICLES)]),
        rotation=rotations,
        shift_angstrom=shifts,
        half_set=(1 + np.arange(PARTICLES) % 2).astype(np.int8),
        optics_group=np.ones(PARTICLES, dtype=np.int64),
        **{field.name: getattr(ctf, field.name) for field in fields(ctf)},
    )
    (run.particles_path / "preprocessing.json").write_text(
        json.dumps({"box_size": BOX, "pixel_size_angstrom": PIXEL, "contrast_sign": 1})
    )
    return Example(run, optional, present)


QUICK = TrainingConfig(vary=("amplitude",), epochs=2, batch_size=16, latent_dimensions=2, threads=1)


class Silent:
    """Progress that is shown to nobody."""

    def step(self, epoch, done, total, loss, rate) -> None:
        assert 0 < done <= total
        assert rate > 0

    def epoch(self, row, epochs) -> None:
        assert row["epoch"] <= epochs


def core_and_part(optional, positions):
    """Labels of an example's Gaussians: the optional half is the part."""
    still = np.zeros(40)
    names = ("core", "part_1")
    return PartLabels(
        optional.astype(int), np.zeros((40, 2)), positions, still, still, "pca", names
    )
