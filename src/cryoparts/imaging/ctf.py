"""The contrast transfer function (CTF) of the electron microscope.

    CTF(k) = scale exp(-B k^2 / 4) sin(chi),
    chi = pi lambda d(theta) k^2 - pi / 2 Cs lambda^3 k^4 + phase_shift + asin(Q),
    d(theta) = (U + V) / 2 + (U - V) / 2 cos(2 (theta - angle)),

theta the angle of k from the x axis, Q the amplitude contrast (Rohou &
Grigorieff 2015, J. Struct. Biol. 192, 216, with the opposite sign). It is
positive at low frequency for underfocus: a particle whose protein is bright is
+CTF times its projection.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor

from cryoparts.conventions import ELECTRON_REST_ENERGY_EV, CtfParameters
from cryoparts.imaging.fourier import frequency_axes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

PLANCK_TIMES_LIGHT_SPEED_EV_ANGSTROM = 12398.419843320026
"""h c, exact in the SI of 2019."""


@dataclass(frozen=True)
class CtfBatch:
    """CTF parameters of B particles as tensors of shape (B,); fields as in `CtfParameters`."""

    defocus_u_angstrom: Tensor
    defocus_v_angstrom: Tensor
    astigmatism_angle_degrees: Tensor
    voltage_kv: Tensor
    spherical_aberration_mm: Tensor
    amplitude_contrast: Tensor
    phase_shift_degrees: Tensor
    b_factor: Tensor
    scale: Tensor

    @classmethod
    def from_parameters(
        cls,
        parameters: CtfParameters,
        indices: ArrayLike | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Self:
        """The parameters of the chosen particles (all by default), copied to tensors."""
        rows = slice(None) if indices is None else np.asarray(indices)
        return cls(
            **{
                f.name: torch.as_tensor(
                    np.array(getattr(parameters, f.name)[rows], dtype=np.float64)
                ).to(device=device, dtype=dtype)
                for f in fields(parameters)
            }
        )

    def __len__(self) -> int:
        return len(self.defocus_u_angstrom)


def electron_wavelength(voltage_kv: Tensor) -> Tensor:
    """Relativistic de Broglie wavelength, Å: h c / sqrt(E (E + 2 m c^2)), E = e V."""
    energy = 1000.0 * voltage_kv
    rest = 2.0 * ELECTRON_REST_ENERGY_EV
    return PLANCK_TIMES_LIGHT_SPEED_EV_ANGSTROM / torch.sqrt(energy * (energy + rest))


def contrast_transfer(
    ctf: CtfParameters | CtfBatch, box_size: int, pixel_size: float | Tensor
) -> Tensor:
    """CTFs of B particles on the half plane of their transforms.

    Parameters
    ----------
    ctf : CtfParameters or CtfBatch
        Of B particles; differentiable in every tensor of a `CtfBatch`.
    box_size : int
        Side D of the images, pixels.
    pixel_size : float or Tensor, shape (B,)
        Å.

    Returns
    -------
    Tensor, shape (B, D, D // 2 + 1)
        Of the dtype of the batch, float32 for `CtfParameters`.
    """
    batch = CtfBatch.from_parameters(ctf) if isinstance(ctf, CtfParameters) else ctf
    like = batch.defocus_u_angstrom
    kx, ky = frequency_axes(box_size, 1.0, like.device, like.dtype)
    kx, ky = kx[None, None, :], ky[None, :, None]
    pixel = torch.as_tensor(pixel_size, device=like.device, dtype=like.dtype).reshape(-1, 1, 1)

    def column(value: Tensor) -> Tensor:
        return value[:, None, None]

    wavelength = column(electron_wavelength(batch.voltage_kv))
    mean = column(0.5 * (batch.defocus_u_angstrom + batch.defocus_v_angstrom))
    half_difference = column(0.5 * (batch.defocus_u_angstrom - batch.defocus_v_angstrom))
    double_angle = column(torch.deg2rad(2.0 * batch.astigmatism_angle_degrees))
    # d k^2 as a quadratic form of (kx, ky): no angle of k, whose derivative fails at k = 0.
    straight = half_difference * torch.cos(double_angle)
    oblique = half_difference * torch.sin(double_angle)
    unit = math.pi * wavelength / pixel**2
    defocus_phase = (unit * (mean + straight)) * kx**2 + (unit * (mean - straight)) * ky**2
    defocus_phase = defocus_phase + (2.0 * unit * oblique * ky) * kx

    k_squared = kx**2 + ky**2
    aberration = column(1e7 * batch.spherical_aberration_mm) * wavelength**3 / pixel**4
    constant = column(
        torch.deg2rad(batch.phase_shift_degrees) + torch.asin(batch.amplitude_contrast)
    )
    chi = defocus_phase - (0.5 * math.pi * aberration) * k_squared**2 + constant
    damping = column(batch.scale) * torch.exp(
        (-0.25 * column(batch.b_factor) / pixel**2) * k_squared
    )
    return damping * torch.sin(chi)
