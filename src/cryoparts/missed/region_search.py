"""Compact regions whose gradients vary more over the particles than noise makes them.

For a region r, the variance over the particles of the sum of its Gaussians' gradients is the
quadratic form r C r of their covariance, and noise alone gives r C0 r. Both are known for any
region once C and C0 are, so the ratio is searched over all compact pieces of several sizes and
the best one is grown, Gaussian by Gaussian at its border, while the ratio rises. A search finds
something in any noise: what it found on one half of the particles is measured on the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.missed.residual_gradients import ResidualGradients

    FloatArray = NDArray[np.float64]
    BoolArray = NDArray[np.bool_]

SHARES = (0.005, 0.01, 0.02, 0.04)
"""Masses of the pieces that are tried about every Gaussian, of the model's."""

MOST_NEIGHBOURS = 400
"""Gaussians of a piece at most."""

FEWEST = 8
"""Gaussians of a region at least: of fewer it is one Gaussian's misfit."""

EXCESS = 1.25
"""Ratio on particles that the region was not found on, from which on it is one: the change
moves the images by one deviation of the noise. Where all is known to the decoder, regions have
0.95 to 1.1."""

MOST_REGIONS = 8

BORDER = 1.8
"""Reach of a region's border, in spacings of the Gaussians."""

_RISE = 1e-4
_STEPS = 1000
_ROWS = 512


@dataclass(frozen=True)
class Region:
    """Members (N,) of a region and its excess variance on other particles."""

    members: BoolArray
    excess: float


def search_regions(
    positions: FloatArray, amplitudes: FloatArray, gradients: ResidualGradients
) -> list[Region]:
    """Regions, one after the other, each in what those before it leave over.

    Parameters
    ----------
    positions : array, shape (N, 3)
        Å.
    amplitudes : array, shape (N,)
        Masses.
    gradients : ResidualGradients
        Of n particles, every second one of which is kept for judging.
    """
    pieces = _Pieces(positions, amplitudes)
    finding, judging = (gradients.own[k::2].copy() for k in range(2))
    noise = [_covariance(gradients.strange[k::2]) for k in range(2)]
    found: list[Region] = []
    while len(found) < MOST_REGIONS:
        covariance = _covariance(finding)
        members = pieces.grown(pieces.best(covariance, noise[0]), covariance, noise[0])
        excess = _variance(judging, members) / _quadratic(noise[1], members)
        if excess < EXCESS:
            break
        found.append(Region(members, excess))
        for half in (finding, judging):
            _take_out(half, members)
    return found


class _Pieces:
    """Compact pieces of a model, and their borders."""

    def __init__(self, positions: FloatArray, amplitudes: FloatArray) -> None:
        tree, count = cKDTree(positions), len(positions)
        distance, order = tree.query(positions, k=min(MOST_NEIGHBOURS, count))
        mass = np.cumsum(amplitudes[order], axis=1)
        self.order = order
        self.sizes = [
            np.maximum((mass < share * amplitudes.sum()).sum(axis=1) + 1, min(FEWEST, count))
            for share in SHARES
        ]
        spacing = float(np.median(distance[:, 1])) if count > 1 else 0.0
        self.near = tree.query_ball_point(positions, BORDER * spacing)

    def best(self, covariance: FloatArray, noise: FloatArray) -> BoolArray:
        """Members of the piece of the largest ratio."""
        count = len(self.order)
        best, members = -np.inf, np.zeros(count, dtype=np.bool_)
        for sizes in self.sizes:
            for start in range(0, count, _ROWS):
                rows = np.arange(start, min(start + _ROWS, count))
                inside = np.arange(self.order.shape[1]) < sizes[rows, None]
                chosen = np.zeros((len(rows), count), dtype=covariance.dtype)
                at = np.broadcast_to(np.arange(len(rows))[:, None], inside.shape)[inside]
                chosen[at, self.order[rows][inside]] = 1.0
                ratio = ((chosen @ covariance) * chosen).sum(axis=1) / np.maximum(
                    ((chosen @ noise) * chosen).sum(axis=1), 1e-30
                )
                top = int(ratio.argmax())
                if ratio[top] > best:
                    best, members = float(ratio[top]), chosen[top] > 0
        return members

    def grown(self, start: BoolArray, covariance: FloatArray, noise: FloatArray) -> BoolArray:
        """The region with Gaussians at its border taken in or left out while the ratio rises."""
        members = start.copy()
        forms = [_Form.of(matrix, members) for matrix in (covariance, noise)]
        border = np.zeros(len(members), dtype=np.int64)
        for inside in np.flatnonzero(members):
            border[self.near[inside]] += 1
        for _ in range(_STEPS):
            changed = [form.with_one_changed(members) for form in forms]
            ratio = np.where(border > 0, changed[0] / np.maximum(changed[1], 1e-30), -np.inf)
            if members.sum() <= FEWEST:
                ratio[members] = -np.inf
            one = int(ratio.argmax())
            if ratio[one] <= (1 + _RISE) * forms[0].value / max(forms[1].value, 1e-30):
                break
            for form in forms:
                form.change(one, members)
            members[one] = not members[one]
            border[self.near[one]] += 1 if members[one] else -1
        return members


@dataclass
class _Form:
    """A quadratic form of a set of members, and how it changes with each of them."""

    matrix: FloatArray
    product: FloatArray  # matrix times members
    value: float

    @classmethod
    def of(cls, matrix: FloatArray, members: BoolArray) -> _Form:
        product = matrix @ members.astype(matrix.dtype)
        return cls(matrix, product.astype(np.float64), float(product[members].sum()))

    def with_one_changed(self, members: BoolArray) -> FloatArray:
        """Values (N,) with each Gaussian taken in, or left out, alone."""
        sign = np.where(members, -1.0, 1.0)
        changed: FloatArray = self.value + 2 * sign * self.product + self.matrix.diagonal()
        return changed

    def change(self, one: int, members: BoolArray) -> None:
        """Take one in, or leave it out."""
        self.value = float(self.with_one_changed(members)[one])
        self.product = self.product + (-1.0 if members[one] else 1.0) * self.matrix[one]


def _covariance(gradients: NDArray[np.float32]) -> FloatArray:
    centred = gradients - gradients.mean(axis=0)
    covariance: FloatArray = centred.T @ centred / len(centred)
    return covariance


def _quadratic(matrix: FloatArray, members: BoolArray) -> float:
    return max(float(matrix[np.ix_(members, members)].sum()), 1e-30)


def _variance(gradients: NDArray[np.float32], members: BoolArray) -> float:
    return float(gradients[:, members].sum(axis=1).var())


def _take_out(gradients: NDArray[np.float32], members: BoolArray) -> None:
    """Remove from all gradients what goes with the region's sum over the particles."""
    gradients -= gradients.mean(axis=0)
    along = gradients[:, members].sum(axis=1)
    along /= max(float(np.linalg.norm(along)), 1e-30)
    gradients -= np.outer(along, along @ gradients)
