"""The contrast transfer function (CTF) of the electron microscope.

    CTF(k) = scale exp(-B k^2 / 4) sin(chi),
    chi = pi lambda d(theta) k^2 - pi / 2 Cs lambda^3 k^4 + phase_shift + asin(Q),
    d(theta) = (U + V) / 2 + (U - V) / 2 cos(2 (theta - angle)),

theta the angle of k from the x axis, Q the amplitude contrast (Rohou &
Grigorieff 2015, J. Struct. Biol. 192, 216, with the opposite sign). It is
positive at low frequency for underfocus: a particle whose protein is bright is
+CTF times its projection.

Optics groups with further aberrations (see `cryoparts.conventions.Aberrations`)
have ``sin(chi - even(k)) exp(i odd(k))``: the symmetric phase goes into the sine,
the antisymmetric one makes the CTF complex (Zivanov et al. 2020, IUCrJ 7, 253).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from cryoparts.conventions import (
    ELECTRON_REST_ENERGY_EV,
    AberratedCtfParameters,
    Aberrations,
    CtfParameters,
)
from cryoparts.imaging.aberrations import phase_factor_of, phase_of
from cryoparts.imaging.fourier import frequency_axes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

PLANCK_TIMES_LIGHT_SPEED_EV_ANGSTROM = 12398.419843320026
"""h c, exact in the SI of 2019."""


@dataclass(frozen=True)
class CtfBatch:
    """CTF parameters of B particles as tensors of shape (B,); fields as in `CtfParameters`.

    `aberrations` of the optics groups, if they have any, are kept as they are.
    """

    defocus_u_angstrom: Tensor
    defocus_v_angstrom: Tensor
    astigmatism_angle_degrees: Tensor
    voltage_kv: Tensor
    spherical_aberration_mm: Tensor
    amplitude_contrast: Tensor
    phase_shift_degrees: Tensor
    b_factor: Tensor
    scale: Tensor
    aberrations: Aberrations | None = None

    @classmethod
    def from_parameters(
        cls,
        parameters: CtfParameters,
        indices: ArrayLike | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Self:
        """The parameters of the chosen particles (all by default), copied to tensors."""
        chosen = parameters if indices is None else parameters.take(indices)
        columns: dict[str, Any] = {
            f.name: torch.as_tensor(np.array(getattr(chosen, f.name), dtype=np.float64)).to(
                device=device, dtype=dtype
            )
            for f in fields(CtfParameters)
        }
        if isinstance(chosen, AberratedCtfParameters):
            columns["aberrations"] = chosen.aberrations
        return cls(**columns)

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
        Å; one number where there are aberrations.

    Returns
    -------
    Tensor, shape (B, D, D // 2 + 1)
        Of the dtype of the batch, float32 for `CtfParameters`; complex where an optics
        group has antisymmetric aberrations.
    """
    real, factor = split_transfer(ctf, box_size, pixel_size)
    return real if factor is None else real * factor


def split_transfer(
    ctf: CtfParameters | CtfBatch, box_size: int, pixel_size: float | Tensor
) -> tuple[Tensor, Tensor | None]:
    """CTFs as a real part, with a sign, and the phase factor of antisymmetric aberrations.

    Parameters as in `contrast_transfer`, which is the product of the two.

    Returns
    -------
    real : Tensor, shape (B, D, D // 2 + 1)
        `sin(chi - even)` with scale and B-factor.
    factor : Tensor, shape (B, D, D // 2 + 1), or None
        `exp(i odd)`, complex; None where no optics group has such aberrations.
    """
    batch = CtfBatch.from_parameters(ctf) if isinstance(ctf, CtfParameters) else ctf
    chi, damping = _phase_and_damping(batch, box_size, pixel_size)
    aberrations = batch.aberrations
    if aberrations is None:
        return damping * torch.sin(chi), None
    pixel = float(pixel_size)
    if aberrations.even_zernike.any():
        even = [
            phase_of(aberrations.even_zernike[g], box_size, pixel, odd=False)
            for g in aberrations.groups_present
        ]
        chi = chi - _of_particles(even, aberrations, chi, chi.dtype)
    real = damping * torch.sin(chi)
    if not aberrations.odd_zernike.any():
        return real, None
    odd = [
        phase_factor_of(aberrations.odd_zernike[g], box_size, pixel)
        for g in aberrations.groups_present
    ]
    return real, _of_particles(odd, aberrations, chi, torch.promote_types(chi.dtype, torch.cfloat))


def _of_particles(
    of_groups: list[Tensor], aberrations: Aberrations, like: Tensor, dtype: torch.dtype
) -> Tensor:
    """What each particle's optics group has, (B, D, D // 2 + 1), on the device of `like`."""
    if not of_groups:
        return torch.zeros(like.shape, dtype=dtype, device=like.device)
    place = np.searchsorted(aberrations.groups_present, aberrations.group)
    stacked = torch.stack(of_groups).to(device=like.device, dtype=dtype)
    return stacked[torch.as_tensor(place, device=like.device)]


def _phase_and_damping(
    batch: CtfBatch, box_size: int, pixel_size: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Phase chi without further aberrations, and scale with the B-factor's damping."""
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
    return chi, damping
