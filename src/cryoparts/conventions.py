"""The conventions that every module shares, and the types that carry them.

Lengths are in ångström (Å); angles are in degrees in files and on the command
line and rotations are matrices inside. Coordinates are (x, y, z) about the box
centre, which is voxel ``D // 2`` along each axis; maps are arrays [z, y, x] and
images [y, x]. A pose (R, t) puts the point X of the reference at R X + t in the
image, and the projection sums along z. Fourier transforms of images are
``rfft2`` half planes of shape (D, D // 2 + 1), unshifted in frequency, with the
phase origin at pixel ``D // 2``::

    Y(k) = sum_p image(p) exp(-2 pi i k . (p - D // 2))
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

ELECTRON_REST_ENERGY_EV = 510998.95
"""Rest energy of the electron (CODATA 2018), eV."""


def box_centre(box_size: int) -> int:
    """Index of the voxel or pixel that holds the origin of coordinates."""
    return box_size // 2


def rotation_from_euler(
    rot_degrees: ArrayLike, tilt_degrees: ArrayLike, psi_degrees: ArrayLike
) -> FloatArray:
    """Rotation matrices of RELION's (rot, tilt, psi), intrinsic Z-Y-Z, degrees.

    The matrix takes a point of the reference to the image (RELION's matrix A,
    Heymann et al. 2005, J. Struct. Biol. 151, 196).

    Returns
    -------
    array, shape (..., 3, 3)
    """
    rot, tilt, psi = (
        np.deg2rad(np.asarray(a, dtype=np.float64))
        for a in (rot_degrees, tilt_degrees, psi_degrees)
    )
    ca, sa = np.cos(rot), np.sin(rot)
    cb, sb = np.cos(tilt), np.sin(tilt)
    cg, sg = np.cos(psi), np.sin(psi)
    rows = [
        [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
        [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
        [sb * ca, sb * sa, cb],
    ]
    return np.stack([np.stack(np.broadcast_arrays(*row), axis=-1) for row in rows], axis=-2)


def euler_from_rotation(rotation: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(rot, tilt, psi) in degrees of rotation matrices; inverse of `rotation_from_euler`.

    At tilt 0 or 180 degrees only a combination of rot and psi is defined; rot
    is then 0.

    Parameters
    ----------
    rotation : array, shape (..., 3, 3)
    """
    r = np.asarray(rotation, dtype=np.float64)
    sin_tilt = np.hypot(r[..., 2, 0], r[..., 2, 1])
    tilt = np.arctan2(sin_tilt, r[..., 2, 2])
    regular = sin_tilt > 1e-9
    rot = np.where(regular, np.arctan2(r[..., 2, 1], r[..., 2, 0]), 0.0)
    psi_at_pole = np.arctan2(-r[..., 1, 0], r[..., 1, 1])
    psi = np.where(regular, np.arctan2(r[..., 1, 2], -r[..., 0, 2]), psi_at_pole)
    return np.rad2deg(rot), np.rad2deg(tilt), np.rad2deg(psi)


@dataclass(frozen=True)
class Poses:
    """Orientations and in-plane shifts of P particles.

    Parameters
    ----------
    rotation : array, shape (P, 3, 3)
        Takes a point of the reference to the frame of the image.
    shift_angstrom : array, shape (P, 2)
        (x, y) translation, in Å, applied after the rotation.
    """

    rotation: FloatArray
    shift_angstrom: FloatArray

    def __post_init__(self) -> None:
        count = len(self.rotation)
        if self.rotation.shape != (count, 3, 3) or self.shift_angstrom.shape != (count, 2):
            raise ValueError(
                f"poses need rotations (P, 3, 3) and shifts (P, 2), "
                f"got {self.rotation.shape} and {self.shift_angstrom.shape}"
            )

    def __len__(self) -> int:
        return len(self.rotation)

    def take(self, indices: ArrayLike) -> Self:
        """The poses of the chosen particles, in the order asked for."""
        rows = np.asarray(indices)
        return type(self)(self.rotation[rows], self.shift_angstrom[rows])


@dataclass(frozen=True)
class CtfParameters:
    """Contrast transfer function parameters of P particles; every field has shape (P,).

    Positive defocus is underfocus, as in RELION, cryoSPARC and CTFFIND.
    ``b_factor`` (Å²) damps the CTF by exp(-B k² / 4) and ``scale`` multiplies it.
    """

    defocus_u_angstrom: FloatArray
    defocus_v_angstrom: FloatArray
    astigmatism_angle_degrees: FloatArray
    voltage_kv: FloatArray
    spherical_aberration_mm: FloatArray
    amplitude_contrast: FloatArray
    phase_shift_degrees: FloatArray
    b_factor: FloatArray
    scale: FloatArray

    def __post_init__(self) -> None:
        count = len(self.defocus_u_angstrom)
        for field in fields(CtfParameters):
            shape = getattr(self, field.name).shape
            if shape != (count,):
                raise ValueError(f"{field.name} has shape {shape}, it should have ({count},)")

    def __len__(self) -> int:
        return len(self.defocus_u_angstrom)

    def take(self, indices: ArrayLike) -> Self:
        """The parameters of the chosen particles, in the order asked for."""
        rows = np.asarray(indices)
        return type(self)(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True)
class Aberrations:
    """Aberrations beyond defocus, astigmatism and Cs, of G optics groups and P particles.

    Coefficients are radians of Zernike polynomials of the spatial frequency in 1/Å,
    not divided by a largest frequency, in RELION's order (Zivanov et al. 2020,
    IUCrJ 7, 253): odd Z1-1, Z11, Z3-3, Z3-1, Z31, Z33 ...; even Z00, Z2-2, Z20, Z22,
    Z4-4 ... Z44 .... The image is the projection times ``sin(chi - even) exp(i odd)``.

    Parameters
    ----------
    odd_zernike : array, shape (G, n)
        Antisymmetric phase: beam tilt, trefoil.
    even_zernike : array, shape (G, m)
        Symmetric phase: tetrafoil, errors of Cs.
    group : int array, shape (P,)
        Each particle's row in them.
    """

    odd_zernike: FloatArray
    even_zernike: FloatArray
    group: IntArray

    def __post_init__(self) -> None:
        groups = len(self.odd_zernike)
        if len(self.even_zernike) != groups:
            raise ValueError(f"{groups} rows of odd, {len(self.even_zernike)} of even coefficients")
        if len(self.group) and not 0 <= self.group.min() <= self.group.max() < groups:
            raise ValueError(f"particles name groups beyond the {groups} that there are")

    def take(self, indices: ArrayLike) -> Self:
        """Those of the chosen particles; all groups are kept."""
        return type(self)(self.odd_zernike, self.even_zernike, self.group[np.asarray(indices)])

    @property
    def groups_present(self) -> list[int]:
        """The groups that particles belong to, in order."""
        return [int(g) for g in np.unique(self.group)]

    def with_odd_reversed(self) -> Self:
        """The same with the other sign of the odd phases."""
        return type(self)(-self.odd_zernike, self.even_zernike, self.group)


@dataclass(frozen=True)
class AberratedCtfParameters(CtfParameters):
    """CTF parameters of particles whose optics groups have further aberrations."""

    aberrations: Aberrations

    def __post_init__(self) -> None:
        super().__post_init__()
        count = len(self)
        if self.aberrations.group.shape != (count,):
            raise ValueError(f"{len(self.aberrations.group)} optics groups for {count} particles")

    def take(self, indices: ArrayLike) -> Self:
        """The parameters of the chosen particles, in the order asked for."""
        rows = np.asarray(indices)
        columns = {f.name: getattr(self, f.name)[rows] for f in fields(CtfParameters)}
        return type(self)(**columns, aberrations=self.aberrations.take(rows))


def with_aberrations(ctf: CtfParameters, aberrations: Aberrations | None) -> CtfParameters:
    """The same CTF parameters with these aberrations, or with none."""
    columns = {f.name: getattr(ctf, f.name) for f in fields(CtfParameters)}
    if aberrations is None:
        return CtfParameters(**columns)
    return AberratedCtfParameters(**columns, aberrations=aberrations)
