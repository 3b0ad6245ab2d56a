"""Where two states differ: their maps, made comparable and subtracted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.reconstruction.soft_mask import soft_sphere

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.reconstruction.half_maps import Reconstruction

    FloatArray = NDArray[np.float64]
    Map = NDArray[np.float32]

_EDGE_SHELLS = 2.0
_ROUNDS = 20


@dataclass(frozen=True)
class DifferenceMap:
    """The first state minus the second.

    Parameters
    ----------
    density : float32 array, shape (D, D, D)
        Positive where the first state has more. [z, y, x], in the first map's
        scale, low-passed to `resolution_angstrom`.
    z_score : float32 array, shape (D, D, D) or None
        Density divided by `noise`.
    noise : float or None
        Standard deviation of the same difference made from half maps' noise,
        within the mask; None where a state has no half maps.
    resolution_angstrom : float
        The worse of the two states' resolutions.
    pixel_size_angstrom : float
    """

    density: Map
    z_score: Map | None
    noise: float | None
    resolution_angstrom: float
    pixel_size_angstrom: float

    @property
    def largest_gain(self) -> float:
        """Highest value: density that the second state lacks."""
        return float(self.density.max())

    @property
    def largest_loss(self) -> float:
        """Lowest value: density that the first state lacks."""
        return float(self.density.min())


def difference_map(
    first: Reconstruction, second: Reconstruction, mask: ArrayLike | None = None
) -> DifferenceMap:
    """Subtract the second state's map from the first's.

    The averages of the half maps (not Wiener-filtered, which would damp the
    state with fewer particles more) are masked and low-passed to the worse of
    the two resolutions with a soft edge of two shells. The second is multiplied
    by the factor that makes it agree with the first where they do agree, see
    `common_scale`. The halves' half differences, treated alike, give the noise.

    Parameters
    ----------
    first, second : Reconstruction
        Of one box and pixel size.
    mask : array, shape (D, D, D), optional
        Soft mask. Default: the sphere inscribed in the box.

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
    resolution = _worse_resolution(first, second, box, pixel)
    filtered = low_pass_filter(box, pixel, resolution)

    def prepared(density: Map) -> FloatArray:
        half_volume = np.fft.rfftn(chosen * density) * filtered
        return np.asarray(np.fft.irfftn(half_volume, s=(box,) * 3, axes=(0, 1, 2)))

    one, other = prepared(_mean_map(first)), prepared(_mean_map(second))
    inside = chosen > 0.5
    if not (first.has_halves and second.has_halves):
        scale = common_scale(one[inside], other[inside], 1.0)
        density = (one - scale * other).astype(np.float32)
        return DifferenceMap(density, None, None, resolution, pixel)
    errors = [prepared(0.5 * (state.half1 - state.half2)) for state in (first, second)]
    power = [max(float(np.mean(error[inside] ** 2)), 1e-30) for error in errors]
    scale = common_scale(one[inside], other[inside], power[0] / power[1])
    density = (one - scale * other).astype(np.float32)
    noise = float(np.sqrt(power[0] + scale**2 * power[1]))
    return DifferenceMap(density, density / np.float32(noise), noise, resolution, pixel)


def common_scale(first: ArrayLike, second: ArrayLike, noise_ratio: float) -> float:
    """Factor s for which s * second agrees with first, but for voxels that differ.

    Deming regression through the origin (both maps are noisy), with Tukey's
    biweight on the residuals, so that a part that one state lacks does not count.

    Parameters
    ----------
    first, second : array, shape (n,)
        Voxels of the two maps.
    noise_ratio : float
        Noise variance of the first over that of the second.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    weight = np.ones_like(a)
    scale = 1.0
    for _ in range(_ROUNDS):
        aa, bb, ab = (weight * a * a).sum(), (weight * b * b).sum(), (weight * a * b).sum()
        if ab <= 0:
            return 1.0
        lean = aa - noise_ratio * bb
        scale = float((lean + np.sqrt(lean**2 + 4 * noise_ratio * ab**2)) / (2 * ab))
        residual = (a - scale * b) / np.sqrt(1 + scale**2 / noise_ratio)
        # of the voxels with density: those of the solvent agree at any scale
        dense = np.abs(a) + np.abs(scale * b) > np.abs(a).mean() + np.abs(scale * b).mean()
        spread = 1.4826 * float(np.median(np.abs(residual[dense]))) if dense.any() else 0.0
        weight = np.clip(1 - (residual / max(4.685 * spread, 1e-30)) ** 2, 0, None) ** 2
    return scale


def low_pass_filter(box: int, pixel: float, resolution_angstrom: float) -> FloatArray:
    """1 up to the resolution, then a cosine edge of two shells; on the half volume."""
    k = np.fft.fftfreq(box, 1.0 / box)
    kx = np.arange(box // 2 + 1)
    length = np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + kx**2)
    beyond = np.clip((length - box * pixel / resolution_angstrom) / _EDGE_SHELLS, 0.0, 1.0)
    smooth: FloatArray = 0.5 + 0.5 * np.cos(np.pi * beyond)
    return smooth


def _worse_resolution(
    first: Reconstruction, second: Reconstruction, box: int, pixel: float
) -> float:
    """The larger number of Å; a fifth of the box where a state has none."""
    unknown = box * pixel / 5
    return max(
        unknown if r.resolution_angstrom is None else r.resolution_angstrom for r in (first, second)
    )


def _mean_map(state: Reconstruction) -> Map:
    if state.has_halves:
        return 0.5 * (state.half1 + state.half2)
    return state.map
