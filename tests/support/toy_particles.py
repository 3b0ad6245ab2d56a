"""Noisy projections of a few Gaussians, with known poses, shifts and CTF."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cryoparts.conventions import Aberrations, CtfParameters, Poses, with_aberrations
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import frequency_grid, inverse_transform, shift_phases


@dataclass(frozen=True)
class Blobs:
    positions: np.ndarray  # (N, 3) Å about the centre
    amplitudes: np.ndarray  # (N,)
    width: float  # Å

    def map(self, box: int, pixel: float) -> np.ndarray:
        """Density [z, y, x] whose sums along z are the projections below."""
        offset = (np.arange(box) - box // 2) * pixel
        axis = [
            np.exp(-0.5 * ((offset[None] - self.positions[:, i, None]) / self.width) ** 2)
            * pixel
            / np.sqrt(2 * np.pi)
            / self.width
            for i in range(3)
        ]
        return np.einsum("n,nz,ny,nx->zyx", self.amplitudes, axis[2], axis[1], axis[0])


@dataclass(frozen=True)
class ToyParticles:
    poses: Poses
    ctf: CtfParameters
    half_set: np.ndarray
    pixel_size_angstrom: float
    box_size: int
    data: torch.Tensor

    def images(self, indices):
        return self.data[torch.as_tensor(np.asarray(indices))]


def random_blobs(seed: int, count: int = 40, radius: float = 45.0, width: float = 5.0) -> Blobs:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 3))
    points *= radius * rng.random((count, 1)) ** (1 / 3) / np.linalg.norm(points, axis=1)[:, None]
    return Blobs(points, rng.uniform(0.5, 1.5, count), width)


def random_ctf(rng: np.random.Generator, count: int) -> CtfParameters:
    defocus = rng.uniform(8000, 25000, count)
    return CtfParameters(
        defocus_u_angstrom=defocus,
        defocus_v_angstrom=defocus - rng.uniform(0, 800, count),
        astigmatism_angle_degrees=rng.uniform(0, 180, count),
        voltage_kv=np.full(count, 300.0),
        spherical_aberration_mm=np.full(count, 2.7),
        amplitude_contrast=np.full(count, 0.1),
        phase_shift_degrees=np.zeros(count),
        b_factor=np.zeros(count),
        scale=np.ones(count),
    )


def toy_particles(
    blobs: Blobs,
    count: int,
    box: int = 48,
    pixel: float = 4.0,
    noise: float = 0.0,
    seed: int = 0,
    aberrations: Aberrations | None = None,
    displaced: np.ndarray | None = None,
) -> ToyParticles:
    """Plane-wave projections written out here, independently of the package's projector.

    `displaced` (count, N, 3), Å, moves the blobs of each particle.
    """
    rng = np.random.default_rng(seed)
    rotation = Rotation.random(count, random_state=seed).as_matrix()
    shift = rng.uniform(-2 * pixel, 2 * pixel, (count, 2))
    k = frequency_grid(box, pixel).double()
    places = blobs.positions + np.zeros((count, 1, 1) if displaced is None else displaced.shape)
    places = places if displaced is None else places + displaced
    placed = np.einsum("pij,pnj->pni", rotation, places)[..., :2]
    fade = np.exp(-2 * np.pi**2 * blobs.width**2 * (k**2).sum(-1).numpy())
    wave_x = np.exp(-2j * np.pi * placed[..., 0, None] * k[0, :, 0].numpy())
    wave_y = np.exp(-2j * np.pi * placed[..., 1, None] * k[:, 0, 1].numpy())
    planes = np.einsum("n,pny,pnx->pyx", blobs.amplitudes, wave_y, wave_x, optimize=True) * fade
    ctf = with_aberrations(random_ctf(rng, count), aberrations)
    transforms = torch.from_numpy(planes) * contrast_transfer(ctf, box, pixel)
    transforms = transforms * shift_phases(torch.from_numpy(shift), box, pixel)
    images = inverse_transform(transforms)
    images = images + noise * images.std() * torch.from_numpy(rng.normal(size=images.shape))
    half = (np.arange(count) % 2 + 1).astype(np.int8)
    return ToyParticles(Poses(rotation, shift), ctf, half, pixel, box, images.float())
