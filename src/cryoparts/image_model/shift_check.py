"""Does the model lie where the particles show it? A map that was cut, padded or mirrored may not.

A model that is moved by d moves in the image of a particle with rotation R by the first two
elements of R d. So the correlation of each image with its projection, at all shifts in the
plane, is all that is needed to try every d in space: no projection is made twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from cryoparts.image_model.deformation import Gaussians
from cryoparts.image_model.forward_model import BATCH, ForwardModel
from cryoparts.image_model.geometry import is_clear, sample_of
from cryoparts.imaging.fourier import inverse_transform, ring_count, ring_index
from cryoparts.imaging.shell_correlation import ring_statistics
from cryoparts.seeds import Purpose
from cryoparts.statistics.by_image import first_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.conventions import FloatArray
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.image_model.losses import Band
    from cryoparts.particles.prepared import PreparedParticles

FARTHEST_SHARE_OF_BOX = 0.15
"""Shifts that are tried along each axis, in box sides."""

FINER = 4
"""Samples of a correlation to a pixel: enough to interpolate it linearly."""

STEPS_PIXELS = (0.5, 0.25, 0.125, 0.0625)
"""Of the search, after steps of one pixel."""

WORTH_PIXELS = 0.5
"""Working pixels from which on a shift is more than rounding: programs disagree by half a voxel
on where the centre of a box is."""


@dataclass(frozen=True)
class ShiftCheck:
    """Agreement of the model with the particles where it is and where it fits best.

    Parameters
    ----------
    shift_angstrom : float64 array, shape (3,)
        From the model's place to the best, (x, y, z), Å.
    frc, best_frc : float
        Mean FRC at the model's own place and at the best.
    clear : bool
        Whether the gain, particle by particle, is more than five standard errors, and the
        shift more than half a working pixel.
    """

    shift_angstrom: FloatArray
    frc: float
    best_frc: float
    clear: bool


def check_shift(
    particles: PreparedParticles, model: GaussianModel, band: Band, seed: int = 0
) -> ShiftCheck:
    """Look for the place where the model agrees best with a sample of the particles.

    Parameters
    ----------
    particles : PreparedParticles
    model : GaussianModel
    band : Band
        Rings compared.
    seed : int
        Of the sample.
    """
    rows = sample_of(first_rows(particles.image), Purpose.SCALE_SAMPLE, seed)
    reach = max(2, round(FARTHEST_SHARE_OF_BOX * particles.box_size))
    found = _Correlations.of(particles, model, band, rows, reach)
    shift = found.best(reach)
    own, best = found.at(np.zeros(3)), found.at(shift)
    clear = float(np.linalg.norm(shift)) > WORTH_PIXELS and is_clear(best - own)
    return ShiftCheck(
        shift * particles.pixel_size_angstrom, float(own.mean()), float(best.mean()), clear
    )


@dataclass(frozen=True)
class _Correlations:
    """FRC of n particles with the model at shifts in the plane; lengths in working pixels.

    `maps` (n, W, W) has them at steps of 1 / FINER pixels about its middle.
    """

    maps: NDArray[np.float32]
    rotation: FloatArray

    @classmethod
    def of(
        cls,
        particles: PreparedParticles,
        model: GaussianModel,
        band: Band,
        rows: NDArray[np.int64],
        reach: int,
    ) -> _Correlations:
        """Of the chosen rows, up to shifts in space of `reach` pixels along each axis."""
        device = torch.device("cpu")
        forward = ForwardModel(particles, device)
        neutral = Gaussians.neutral(model, device)
        half = FINER * (2 * reach + 1)  # the space diagonal is sqrt(3) times as long
        maps = []
        with torch.no_grad():
            for indices in np.array_split(rows, -(-len(rows) // BATCH)):
                batch = forward.batch(indices)
                products = _normalised(batch.data, forward.images_of(neutral, batch), band)
                fine = inverse_transform(_padded(products, FINER))
                middle = fine.shape[-1] // 2
                window = slice(max(0, middle - half), middle + half + 1)
                maps.append(fine[:, window, window].numpy())
        joined = np.concatenate(maps)
        return cls(joined, np.asarray(particles.poses.rotation[rows], dtype=np.float64))

    def at(self, shift: FloatArray) -> FloatArray:
        """FRC (n,) of each particle with the model moved by `shift` (3,)."""
        planar = FINER * (self.rotation @ shift)[:, :2] + self.maps.shape[-1] // 2
        places = [np.arange(len(planar)), planar[:, 1], planar[:, 0]]
        return np.asarray(ndimage.map_coordinates(self.maps, places, np.float64, order=1))

    def best(self, reach: int) -> FloatArray:
        """The shift (3,) of the highest mean FRC, by ever finer steps."""
        line = np.arange(-reach, reach + 1, dtype=np.float64)
        shift = self._best_of(np.zeros(3), line)
        for step in STEPS_PIXELS:
            shift = self._best_of(shift, np.array([0.0, -step, step]))
        return shift

    def _best_of(self, centre: FloatArray, line: FloatArray) -> FloatArray:
        tried = [centre + np.array(move) for move in product(line, repeat=3)]
        return max(tried, key=lambda shift: float(self.at(shift).mean()))


def _normalised(data: Tensor, model: Tensor, band: Band) -> Tensor:
    """Half planes (B, D, D // 2 + 1) whose value at shift 0, transformed back, is the mean FRC."""
    box = data.shape[-2]
    _, own, other = ring_statistics(data, model)
    norms = (own * other).sqrt()
    scale = torch.where(norms > 0, 1.0 / norms.clamp_min(1e-30), 0.0)
    scale[:, : band.first] = 0.0
    scale[:, band.last + 1 :] = 0.0
    rings = ring_index(box)
    inside = scale[:, rings.clamp(max=ring_count(box) - 1)] * (rings < ring_count(box))
    count = band.last - band.first + 1
    return data * model.conj() * inside * (box * box / count)


def _padded(half_planes: Tensor, times: int) -> Tensor:
    """Half planes of the same images sampled `times` as finely, values kept."""
    box = half_planes.shape[-2]
    finer = half_planes.new_zeros(len(half_planes), times * box, times * box // 2 + 1)
    upper = (box + 1) // 2
    width = half_planes.shape[-1]
    finer[:, :upper, :width] = half_planes[:, :upper]
    finer[:, times * box - (box - upper) :, :width] = half_planes[:, upper:]
    return finer * times**2
