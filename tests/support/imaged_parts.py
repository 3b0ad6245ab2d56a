"""Images of particles whose parts have known amplitudes, each particle in its own pose."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cryoparts.conventions import CtfParameters, Poses
from cryoparts.gaussians.model import GaussianModel
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import inverse_transform, shift_phases
from cryoparts.imaging.projection import project
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.parts.part_labels import PartLabels

BOX, PIXEL = 32, 5.0


@dataclass(frozen=True)
class Imaged:
    """Particles whose parts have the given amplitudes, and what they were imaged with."""

    model: GaussianModel
    labels: PartLabels
    poses: Poses
    ctf: CtfParameters
    amplitude: np.ndarray  # (P, K)
    images: np.ndarray

    def particles(self) -> PreparedParticles:
        count = len(self.images)
        return PreparedParticles(
            folder=Path("nowhere"),
            names=np.array([f"{i:06d}@p.mrcs" for i in range(count)]),
            poses=self.poses,
            ctf=self.ctf,
            half_set=np.ones(count, dtype=np.int8),
            optics_group=np.ones(count, dtype=np.int64),
            pixel_size_angstrom=PIXEL,
            box_size=BOX,
            contrast_sign=1,
            details={},
            _images=np.asarray(self.images, dtype=np.float32),
        )

    def showing(self, images: np.ndarray) -> Imaged:
        """The same particles in other images."""
        return replace(self, images=images)

    def noisy(self, level: float, seed: int = 0) -> Imaged:
        """With white noise, its deviation in those of the images."""
        noise = np.random.default_rng(seed).normal(size=self.images.shape)
        return self.showing(self.images + level * self.images.std() * noise)


def imaged_parts(
    model: GaussianModel, label: np.ndarray, amplitude: np.ndarray, seed: int = 0
) -> Imaged:
    """Images (no noise) of parts 1 ... K of these amplitudes (P, K), in random poses."""
    rng = np.random.default_rng(seed)
    count = len(amplitude)
    rotation = Rotation.random(count, random_state=seed + 1).as_matrix()
    poses = Poses(rotation, rng.normal(0, 4, (count, 2)))
    constant = dict(
        zip(
            (f.name for f in fields(CtfParameters)), (0, 0, 30, 300, 2.7, 0.1, 0, 0, 1), strict=True
        )
    )
    columns = {name: np.full(count, float(value)) for name, value in constant.items()}
    columns["defocus_u_angstrom"] = rng.uniform(8000, 20000, count)
    columns["defocus_v_angstrom"] = columns["defocus_u_angstrom"] - 300
    ctf = CtfParameters(**columns)
    factors = np.column_stack([np.ones(count), amplitude])[:, np.maximum(label, 0)]
    images = render(model, model.amplitudes * factors, poses, ctf)
    return Imaged(model, labelled(model, label), poses, ctf, amplitude, images)


def labelled(model: GaussianModel, label: np.ndarray) -> PartLabels:
    nothing = np.zeros(len(label))
    return PartLabels(label, np.zeros((len(label), 2)), model.positions, nothing, nothing, "pca")


def render(
    model: GaussianModel,
    amplitudes: np.ndarray,
    poses: Poses,
    ctf: CtfParameters,
    moved: np.ndarray | None = None,
) -> np.ndarray:
    """Images of the model's Gaussians of these amplitudes (P, N), moved (P, N, 3) or not."""
    positions = torch.as_tensor(model.positions)
    if moved is not None:
        positions = positions + torch.as_tensor(moved, dtype=torch.float32)
    planes = project(
        positions,
        torch.as_tensor(amplitudes, dtype=torch.float32),
        torch.as_tensor(model.widths),
        torch.as_tensor(poses.rotation, dtype=torch.float32),
        BOX,
        PIXEL,
    ) * contrast_transfer(ctf, BOX, PIXEL)
    shift = torch.as_tensor(poses.shift_angstrom, dtype=torch.float32)
    return inverse_transform(planes * shift_phases(shift, BOX, PIXEL)).numpy()
