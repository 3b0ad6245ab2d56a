"""Two trainings asked about the same particles: how far apart they are, part by part.

The deformation error of DynaMight (Schwab et al. 2024, Nat. Methods 21, 1855):
two decoders, trained on half of the particles each, say of the same particle
where every Gaussian is; their difference, against the size of the change
itself, tells what of it can be believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.inference.decoded import Decoded

    FloatArray = NDArray[np.float64]
    Values = NDArray[np.floating]


@dataclass(frozen=True)
class Agreement:
    """How far two trainings agree on one part, or on all Gaussians.

    Parameters
    ----------
    amplitude_error : float
        Root mean square difference of the relative amplitudes.
    amplitude_size : float
        Root mean square change of the relative amplitudes over the particles.
    displacement_error_angstrom, displacement_size_angstrom : float
        The same of the displacements, Å.
    correlation : float
        Of the two trainings' changes over particles and Gaussians, -1 to 1;
        amplitudes and displacements weigh by what both change.
    """

    amplitude_error: float
    amplitude_size: float
    displacement_error_angstrom: float
    displacement_size_angstrom: float
    correlation: float


def agreement(one: Decoded, other: Decoded, members: NDArray[np.bool_] | None = None) -> Agreement:
    """Compare two trainings' outputs for the same particles.

    Each Gaussian's mean over the particles is taken away first: it is part of
    the neutral model, not of what changes. A displacement counts as much as there is of
    the Gaussian: where it is away, trainings put it anywhere. Errors are of the difference of the
    two, so each training alone is off by about 0.7 of it.

    Parameters
    ----------
    one, other : Decoded
        Of the same particles and Gaussians, in the same order.
    members : bool array, shape (N,), optional
        The Gaussians of a part. Default: all.

    Raises
    ------
    ValueError
        If the outputs differ in kind or shape.
    """
    if members is not None:
        one, other = one.of_gaussians(members), other.of_gaussians(members)
    amplitude = _Pair.of(one.relative_scalars, other.relative_scalars)
    displacement = _Pair.of(one.displacements_from_usual, other.displacements_from_usual)
    if amplitude is None and displacement is None:
        raise ValueError("neither amplitudes nor displacements are given")
    pairs = [pair for pair in (amplitude, displacement) if pair is not None]
    product = sum(pair.product / max(pair.norm, 1e-300) * pair.weight for pair in pairs)
    weight = sum(pair.weight for pair in pairs)
    return Agreement(
        0.0 if amplitude is None else amplitude.error,
        0.0 if amplitude is None else amplitude.size,
        0.0 if displacement is None else displacement.error,
        0.0 if displacement is None else displacement.size,
        float(product / weight) if weight > 0 else 0.0,
    )


AMPLITUDE_UNIT, DISPLACEMENT_UNIT_ANGSTROM = 1.0, 2.0
"""Changes of this size weigh alike in a correlation of both kinds."""


@dataclass(frozen=True)
class _Pair:
    """Sums over particles and Gaussians of one kind of output of two trainings."""

    error: float
    size: float
    product: float
    norm: float
    weight: float

    @classmethod
    def of(cls, one: Values | None, other: Values | None) -> _Pair | None:
        if one is None and other is None:
            return None
        if one is None or other is None or one.shape != other.shape:
            raise ValueError("the two trainings vary different things")
        a, b = (_centred(values) for values in (one, other))
        unit = AMPLITUDE_UNIT if one.ndim == 2 else DISPLACEMENT_UNIT_ANGSTROM
        count = max(a.shape[0] * a.shape[1], 1)
        square_a, square_b = float((a**2).sum()), float((b**2).sum())
        norm = float(np.sqrt(square_a * square_b))
        return cls(
            error=float(np.sqrt(((a - b) ** 2).sum() / count)),
            size=float(np.sqrt(0.5 * (square_a + square_b) / count)),
            product=float((a * b).sum()),
            norm=norm,
            weight=norm / unit**2,
        )


def _centred(values: Values) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    centred: FloatArray = array - array.mean(axis=0)
    return centred
