"""Where two states differ: their maps, made comparable, subtracted and tested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import distance_transform_edt

from cryoparts.difference_maps.amplitude_matching import common_scale, radial_scale
from cryoparts.difference_maps.significance import (
    KERNEL_IN_RESOLUTIONS,
    NoiseKind,
    critical_z,
    noise_level,
)
from cryoparts.imaging.soft_mask import cosine_edge, soft_sphere
from cryoparts.reconstruction.fourier_filters import by_shell, filtered, low_pass_filter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.reconstruction.half_maps import Reconstruction

    FloatArray = NDArray[np.float64]
    Map = NDArray[np.float32]

FALSE_DISCOVERY_RATE = 0.01
"""Share of the voxels called different that may be noise; --false-discovery-rate chooses
another."""

_SMALLEST_UNCHANGED = 0.2
"""Of the mask's volume: with less left outside the part, amplitudes are matched in all of it."""


@dataclass(frozen=True)
class DifferenceMap:
    """The first state minus the second.

    Parameters
    ----------
    density : float32 array, shape (D, D, D)
        Positive where the first state has more. [z, y, x], in the first map's
        scale, low-passed to `resolution_angstrom`.
    z_score : float32 array, shape (D, D, D) or None
        Density divided by the noise at each voxel; None where a state has no
        half maps.
    noise : float or None
        Root mean square of the noise within the mask.
    critical_z : float or None
        |z| from which on a voxel is significant; infinite if none is.
    tested : bool array, shape (D, D, D)
        The voxels that were tested.
    resolution_angstrom : float
        The worse of the two states' resolutions.
    pixel_size_angstrom : float
    """

    density: Map
    z_score: Map | None
    noise: float | None
    critical_z: float | None
    tested: NDArray[np.bool_]
    resolution_angstrom: float
    pixel_size_angstrom: float

    @property
    def significant(self) -> NDArray[np.bool_]:
        """Voxels that differ beyond the noise, both ways; none where it is not known."""
        if self.z_score is None or self.critical_z is None:
            return np.zeros(self.density.shape, dtype=np.bool_)
        found: NDArray[np.bool_] = self.tested & (np.abs(self.z_score) >= self.critical_z)
        return found

    @property
    def largest_gain(self) -> float:
        """Highest value: density that the second state lacks."""
        return float(self.density.max())

    @property
    def largest_loss(self) -> float:
        """Lowest value: density that the first state lacks."""
        return float(self.density.min())


def difference_map(
    first: Reconstruction,
    second: Reconstruction,
    mask: ArrayLike | None = None,
    *,
    part_mask: ArrayLike | None = None,
    within_part: bool = False,
    noise_kind: NoiseKind = "local",
    false_discovery_rate: float = FALSE_DISCOVERY_RATE,
) -> DifferenceMap:
    """Subtract the second state's map from the first's, and test every voxel.

    The averages of the half maps (not Wiener-filtered, which would damp the
    state with fewer particles more) are low-passed to the worse of the two
    resolutions with a soft edge of two shells. The second is multiplied, shell
    by shell, by the factor that gives it the first's amplitude outside the
    part. The halves' half differences, treated alike, give the noise; the
    voxels' p-values are corrected for their number (`significance.critical_z`).

    Parameters
    ----------
    first, second : Reconstruction
        Of one box and pixel size, without particles in common.
    mask : array, shape (D, D, D), optional
        Soft mask of the molecule. Default: the sphere inscribed in the box.
    part_mask : array, shape (D, D, D), optional
        Soft mask of the part that is expected to change.
    within_part : bool
        Test the part's voxels alone: fewer tests, so weaker changes count.
    noise_kind : "local" or "global"
    false_discovery_rate : float

    Raises
    ------
    ValueError
        If the boxes or pixel sizes differ.
    """
    box = len(first.map)
    pixel = first.pixel_size_angstrom
    if len(second.map) != box or not np.isclose(second.pixel_size_angstrom, pixel):
        raise ValueError("the two maps must have one box and one pixel size")
    chosen = soft_sphere(box, 0.45 * box) if mask is None else np.asarray(mask, dtype=np.float32)
    part = None if part_mask is None else np.asarray(part_mask, dtype=np.float32)
    resolution = _worse_resolution(first, second, box, pixel)
    window = low_pass_filter(box, pixel, resolution)
    tested = (part if within_part and part is not None else chosen) > 0.5
    maps = (first.mean_of_halves, second.mean_of_halves)
    unchanged = _outside(chosen, part)
    scale = _overall_scale(maps, unchanged, window)
    if not (first.has_halves and second.has_halves):
        density = (chosen * _subtracted(maps, window, scale)).astype(np.float32)
        return DifferenceMap(density, None, None, None, tested, resolution, pixel)
    errors = (0.5 * (first.half1 - first.half2), 0.5 * (second.half1 - second.half2))

    def compared(factor: ArrayLike) -> tuple[Map, Map, FloatArray]:
        """Difference, z-scores and noise with the second map times a factor."""
        noise = noise_level(
            [filtered(errors[0], window), filtered(errors[1], window * np.asarray(factor))],
            chosen > 0.5,
            kind=noise_kind,
            kernel_pixels=KERNEL_IN_RESOLUTIONS * resolution / pixel,
        )
        density = chosen * _subtracted(maps, window, factor)
        return density.astype(np.float32), (density / noise).astype(np.float32), noise

    # what differs already at one common scale must not count in the shells' amplitudes
    z_score = compared(scale)[1]
    differs = np.abs(z_score) >= critical_z(z_score, chosen > 0.5, false_discovery_rate)
    unchanged = _outside(unchanged, _around(differs))
    density, z_score, noise = compared(by_shell(radial_scale(*maps, *errors, unchanged), box))
    return DifferenceMap(
        density,
        z_score,
        float(np.sqrt(np.mean(noise[chosen > 0.5] ** 2))),
        critical_z(z_score, tested, false_discovery_rate),
        tested,
        resolution,
        pixel,
    )


def _subtracted(maps: tuple[Map, Map], window: FloatArray, factor: ArrayLike) -> FloatArray:
    """The first map minus the factor (one, or on the half volume) times the second."""
    return filtered(maps[0], window) - filtered(maps[1], window * np.asarray(factor))


def _overall_scale(maps: tuple[Map, Map], region: Map, window: FloatArray) -> float:
    """One factor that makes the second map agree with the first where they do agree."""
    inside = region > 0.5
    return common_scale(filtered(maps[0], window)[inside], filtered(maps[1], window)[inside], 1.0)


def _outside(mask: Map, part: Map | None) -> Map:
    """The mask but for the part, or all of it where little would be left."""
    if part is None:
        return mask
    rest: Map = mask * (1 - part)
    return rest if rest.sum() >= _SMALLEST_UNCHANGED * mask.sum() else mask


def _around(voxels: NDArray[np.bool_]) -> Map | None:
    """Soft mask about the voxels; None if there are none."""
    if not voxels.any():
        return None
    return cosine_edge(distance_transform_edt(~voxels) - 1.0, 3.0)


def _worse_resolution(
    first: Reconstruction, second: Reconstruction, box: int, pixel: float
) -> float:
    """The larger number of Å; a fifth of the box where a state has none."""
    unknown = box * pixel / 5
    return max(
        unknown if r.resolution_angstrom is None else r.resolution_angstrom for r in (first, second)
    )
