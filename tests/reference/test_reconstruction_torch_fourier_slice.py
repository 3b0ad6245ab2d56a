"""Against the back-projection of teamtomo's torch-fourier-slice, where it is installed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryoparts.conventions import CtfParameters, Poses
from cryoparts.imaging.fourier import transform
from cryoparts.imaging.shell_correlation import fourier_shell_correlation
from cryoparts.imaging.soft_mask import soft_sphere
from cryoparts.reconstruction.backprojection import Chosen, gather, invert, shell_mean_weight
from cryoparts.reconstruction.insertion import insert_images, symmetrised

slices = pytest.importorskip("torch_fourier_slice", reason="torch-fourier-slice is not installed")
torch_ctf = pytest.importorskip("torch_ctf", reason="torch-ctf is not installed")

BOX, COUNT, PIXEL = 32, 200, 3.0
HALF_OF_NYQUIST = BOX // 4
REGULARISER = 0.02


def blob_map(seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(BOX) - BOX // 2] * 3, indexing="ij"), axis=-1)
    centres = rng.uniform(-7, 7, (25, 3))
    density = np.exp(-0.5 * ((grid[..., None, :] - centres) ** 2).sum(-1) / 1.2**2).sum(-1)
    return torch.from_numpy(density.astype(np.float32))


def agree(ours: np.ndarray, theirs: np.ndarray) -> None:
    """FSC above 0.99 to half of Nyquist, in the same hand and unit.

    Within the sphere that the images determine: in the corners the other
    program leaves what noise there is.
    """
    ball = soft_sphere(BOX, BOX // 2 - 4, 3)
    fsc = fourier_shell_correlation(ball * ours, ball * theirs)[1 : HALF_OF_NYQUIST + 1]
    assert fsc.min() > 0.99
    inner = (slice(4, -4),) * 3
    ratio = np.vdot(ours[inner], theirs[inner]) / np.vdot(ours[inner], ours[inner])
    assert ratio == pytest.approx(1.0, abs=0.05)


def test_maps_of_one_set_of_projections_agree():
    density = blob_map(0)
    # their matrices take the image's frame to the volume's: the transpose of ours
    to_volume = torch.from_numpy(Rotation.random(COUNT, random_state=1).as_matrix()).float()
    images = slices.project_3d_to_2d(density, to_volume, pad_factor=2.0)
    theirs = slices.backproject_2d_to_3d(images, to_volume, pad_factor=2.0).numpy()

    padded = torch.nn.functional.pad(images, (BOX // 2,) * 4)
    planes = transform(padded).numpy()
    rotations = to_volume.transpose(1, 2).numpy()
    sums = insert_images(planes, np.ones(planes.shape, np.float32), rotations, np.zeros((COUNT, 2)))
    ours = invert(symmetrised(sums), np.full(BOX // 2 + 1, 1e-3), padding=2)

    agree(ours, theirs)
    assert fourier_shell_correlation(ours, density.numpy())[1 : HALF_OF_NYQUIST + 1].min() > 0.99


@dataclass(frozen=True)
class Particles:
    """Images with what a reconstruction needs to know of them."""

    poses: Poses
    ctf: CtfParameters
    half_set: np.ndarray
    pixel_size_angstrom: float
    box_size: int
    data: torch.Tensor

    def images(self, indices) -> torch.Tensor:
        return self.data[torch.as_tensor(np.asarray(indices))]


def their_ctf(ctf: CtfParameters, side: int) -> torch.Tensor:
    """CTFs (P, side, side // 2 + 1) of the other program, unshifted frequency order."""
    u, v = (torch.from_numpy(d * 1e-4) for d in (ctf.defocus_u_angstrom, ctf.defocus_v_angstrom))
    found = torch_ctf.calculate_ctf_2d(
        defocus=(u + v) / 2,
        astigmatism=(u - v) / 2,
        astigmatism_angle=torch.from_numpy(ctf.astigmatism_angle_degrees),
        voltage=300.0,
        spherical_aberration=2.7,
        amplitude_contrast=0.1,
        phase_shift=0.0,
        pixel_size=PIXEL,
        image_shape=(side, side),
        rfft=True,
        fftshift=False,
    )
    return found.reshape(len(u), side, side // 2 + 1).float()


def moved(side: int, shifts_pixels: np.ndarray) -> torch.Tensor:
    """Factors exp(-2 pi i k.t) on half planes in unshifted order: moves an image by t."""
    kx, ky = np.fft.rfftfreq(side), np.fft.fftfreq(side)
    angle = shifts_pixels[:, 0, None, None] * kx + shifts_pixels[:, 1, None, None] * ky[:, None]
    return torch.from_numpy(np.exp(-2j * np.pi * angle)).to(torch.complex64)


@cache
def noisy_particles(noise: float) -> tuple[Particles, torch.Tensor]:
    """The other program's projections with its CTFs, shifted, with noise; and their matrices."""
    rng = np.random.default_rng(5)
    to_volume = torch.from_numpy(Rotation.random(COUNT, random_state=2).as_matrix()).float()
    clean = slices.project_3d_to_2d(blob_map(3), to_volume, pad_factor=2.0)
    defocus = rng.uniform(8000, 25000, COUNT)
    constant = np.ones(COUNT)
    ctf = CtfParameters(
        defocus_u_angstrom=defocus,
        defocus_v_angstrom=defocus - rng.uniform(0, 800, COUNT),
        astigmatism_angle_degrees=rng.uniform(0, 180, COUNT),
        voltage_kv=300 * constant,
        spherical_aberration_mm=2.7 * constant,
        amplitude_contrast=0.1 * constant,
        phase_shift_degrees=0 * constant,
        b_factor=0 * constant,
        scale=constant,
    )
    shifts = rng.uniform(-3, 3, (COUNT, 2))
    seen = torch.fft.rfft2(clean) * their_ctf(ctf, BOX) * moved(BOX, shifts)
    images = torch.fft.irfft2(seen, s=(BOX, BOX))
    images = images + noise * images.std() * torch.from_numpy(rng.normal(size=images.shape))
    poses = Poses(to_volume.transpose(1, 2).double().numpy(), shifts * PIXEL)
    half = (np.arange(COUNT) % 2 + 1).astype(np.int8)
    return Particles(poses, ctf, half, PIXEL, BOX, images.float()), to_volume


def their_map(particles: Particles, to_volume: torch.Tensor) -> np.ndarray:
    """sum(CTF Y) / (sum(CTF²) + regulariser) by the other program's insertion and CTF."""
    side = 2 * BOX
    padded = torch.nn.functional.pad(particles.data, (BOX // 2,) * 4)
    planes = torch.fft.rfft2(torch.fft.ifftshift(padded, dim=(-2, -1)))
    ctf = their_ctf(particles.ctf, side)
    planes = planes * moved(side, -particles.poses.shift_angstrom / PIXEL) * ctf
    sums = []
    for half_planes in (planes, (ctf**2).to(torch.complex64)):
        inserted, _ = slices.insert_central_slices_rfft_3d(
            torch.fft.fftshift(half_planes, dim=-2), (side,) * 3, to_volume
        )
        sums.append(torch.fft.ifftshift(inserted, dim=(-3, -2)))
    weight = sums[1].real
    volume = sums[0] / (weight + REGULARISER * float(weight.mean()))
    density = torch.fft.fftshift(torch.fft.irfftn(volume, s=(side,) * 3))
    offset = np.arange(side) - BOX
    envelope = np.sinc(offset / side) ** 2
    whole = density.numpy() / (envelope[:, None, None] * envelope[:, None] * envelope)
    inner = (slice(BOX // 2, BOX // 2 + BOX),) * 3
    return np.asarray(whole[inner])


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_maps_of_particles_with_ctf_and_shifts_agree(noise):
    particles, to_volume = noisy_particles(noise)
    sums = next(gather(particles, [Chosen(np.arange(COUNT))]))
    mean = shell_mean_weight(sums, 2).mean()
    ours = invert(sums, np.full(BOX // 2 + 1, REGULARISER * mean), padding=2)
    agree(ours, their_map(particles, to_volume))


def test_neither_the_ctf_nor_the_shift_could_be_left_out():
    """The agreement above would not survive either: it tests both."""
    particles, to_volume = noisy_particles(0.0)
    theirs = their_map(particles, to_volume)
    still = Particles(
        Poses(particles.poses.rotation, 0 * particles.poses.shift_angstrom),
        particles.ctf,
        particles.half_set,
        PIXEL,
        BOX,
        particles.data,
    )
    regulariser = np.full(BOX // 2 + 1, 1.0)
    unshifted = invert(next(gather(still, [Chosen(np.arange(COUNT))])), regulariser, padding=2)
    planes = transform(torch.nn.functional.pad(particles.data, (BOX // 2,) * 4)).numpy()
    without_ctf = invert(
        symmetrised(
            insert_images(
                planes,
                np.ones(planes.shape, np.float32),
                particles.poses.rotation,
                particles.poses.shift_angstrom / PIXEL,
            )
        ),
        regulariser,
        padding=2,
    )
    for wrong in (unshifted, without_ctf):
        assert fourier_shell_correlation(wrong, theirs)[1 : HALF_OF_NYQUIST + 1].min() < 0.9
