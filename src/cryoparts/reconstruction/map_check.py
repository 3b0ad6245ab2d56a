"""Has the model what the particles' own map has? A mask may cut a part off, a filter blur it.

A sample of the particles, back-projected in the given poses, is a coarse map of what is in the
images. Beside it the model may be weak where detail is (a map that was filtered to a lower
resolution than the particles have), or have nothing where density is (a mask that was too
tight): what is not in the model cannot be found to change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import rfftn

from cryoparts.gaussians.density import render
from cryoparts.imaging.shells import shell_sums
from cryoparts.reconstruction.fourier_filters import by_shell, filtered
from cryoparts.reconstruction.half_maps import reconstruct_half_maps
from cryoparts.statistics.evenly_spaced import evenly_spaced

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.reconstruction.half_maps import Reconstruction
    from cryoparts.reconstruction.source import ImageSource

    FloatArray = NDArray[np.float64]

SAMPLE = 2000
"""Images: enough for a ribosome to 10 Å at a signal-to-noise ratio of 0.1."""

FEWEST = 100
"""Images below which nothing is asked."""

KNOWN = 0.5
"""FSC of the half maps above which a shell is."""

FEWEST_SHELLS = 8
"""Known shells below which nothing is asked."""

COARSE = slice(2, 5)
"""Shells whose amplitudes the others' are compared with."""

INSIDE = 0.45
"""Of the box, radius about its centre within which density is looked at."""

DENSE, EMPTY = 0.25, 0.15
"""Of the density that 1% of the voxels have: of molecule in the particles' map, of none in the
model."""

ABOVE_NOISE = 4.0
"""Deviations of the noise by which density exceeds the model's where the model has none."""


@dataclass(frozen=True)
class MapCheck:
    """A model beside the particles' own map.

    Parameters
    ----------
    resolution_angstrom : float
        To which the two were compared.
    fades : float
        How many times the particles' amplitudes exceed the model's at that resolution, beside
        the same at the lowest; about 1 of a model that is as sharp as the particles.
    outside : float
        Share of the particles' density that lies where the model has none.
    """

    resolution_angstrom: float
    fades: float
    outside: float


def check_map(
    particles: ImageSource, model: GaussianModel, rows: NDArray[np.int64], seed: int = 0
) -> MapCheck | None:
    """Back-project at most `SAMPLE` of the rows and compare.

    Parameters
    ----------
    particles : ImageSource
    model : GaussianModel
    rows : int array, shape (n,)
        One row an image.
    seed : int
        Of half sets that are not known.

    Returns
    -------
    MapCheck or None
        None where the images are too few to tell.
    """
    chosen = evenly_spaced(rows, SAMPLE)
    if len(chosen) < FEWEST:
        return None
    own = reconstruct_half_maps(particles, chosen, seed=seed)
    known = _known_shells(own)
    if known < FEWEST_SHELLS:
        return None
    box, pixel = particles.box_size, particles.pixel_size_angstrom
    shown = render(model, box, pixel)
    scale, power = _scale(own.map, shown)
    coarse = float(np.average(scale[COARSE], weights=power[COARSE]))
    if not coarse > 0:  # wrong contrast or poses: there is nothing to compare
        return None
    last = max(3, known // 4)
    fades = float(np.average(scale[known - last : known], weights=power[known - last : known]))
    kept = np.arange(box // 2 + 1) < known
    all_shells = by_shell(kept, box)
    density = filtered(own.map, all_shells)
    noise = filtered(0.5 * (own.half1 - own.half2), all_shells)
    explained = filtered(shown, by_shell(np.maximum(scale, 0.0) * kept, box))
    return MapCheck(box * pixel / known, fades / coarse, _outside(density, explained, noise))


def _known_shells(own: Reconstruction) -> int:
    """How many shells from 0 on are known."""
    beyond = np.flatnonzero(~(own.curves.corrected[1:] > KNOWN))
    return int(beyond[0]) + 1 if len(beyond) else len(own.curves.corrected) - 1


def _scale(
    seen: NDArray[np.floating], shown: NDArray[np.floating]
) -> tuple[FloatArray, FloatArray]:
    """Factor of each shell from the model to the map, and the model's power."""
    map_transform, transform = rfftn(seen), rfftn(shown)
    power = shell_sums(np.abs(transform) ** 2)
    return shell_sums((map_transform * transform.conj()).real) / np.maximum(power, 1e-30), power


def _outside(density: FloatArray, explained: FloatArray, error: FloatArray) -> float:
    """Share of the density that lies where the model explains none."""
    box = len(density)
    away = np.arange(box) - box // 2
    inside = away[:, None, None] ** 2 + away[:, None] ** 2 + away**2 < (INSIDE * box) ** 2
    seen, noise = density[inside], float(error[inside].std())
    model = explained[inside]
    dense = seen > DENSE * np.quantile(seen, 0.99)
    empty = model < EMPTY * np.quantile(model, 0.99)
    beyond = dense & empty & (seen - model > ABOVE_NOISE * noise)
    return float(seen[beyond].sum() / max(float(seen[dense].sum()), 1e-30))
