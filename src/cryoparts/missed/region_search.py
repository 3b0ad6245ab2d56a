"""Compact regions whose gradients vary more over the particles than noise makes them.

The sum of a region's gradients varies over the particles by more than noise alone gives it if
the region comes and goes unknown to the decoder. The ratio of the two variances is searched
over all compact pieces of several sizes, and the best piece is grown, Gaussian by Gaussian at
its border, while the ratio rises. A search finds something in any noise: what it found on one
half of the particles is measured on the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array, vstack
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
    finding, judging = (_centred(gradients.own[half::2]) for half in range(2))
    noise = [_centred(gradients.strange[half::2]) for half in range(2)]
    of_noise = pieces.variances(noise[0])
    found: list[Region] = []
    while len(found) < MOST_REGIONS:
        start = pieces.members(int((pieces.variances(finding) / of_noise).argmax()))
        members = pieces.grown(start, finding, noise[0])
        excess = _variance(judging, members) / max(_variance(noise[1], members), 1e-30)
        if excess < EXCESS:
            break
        found.append(Region(members, excess))
        for half in (finding, judging):
            _take_out(half, members)
    return found


class _Pieces:
    """Compact pieces of a model, each size about every Gaussian, and their borders."""

    def __init__(self, positions: FloatArray, amplitudes: FloatArray) -> None:
        tree, count = cKDTree(positions), len(positions)
        distance, order = tree.query(positions, k=min(MOST_NEIGHBOURS, count))
        mass = np.cumsum(amplitudes[order], axis=1)
        blocks = []
        for share in SHARES:
            enough = (mass < share * amplitudes.sum()).sum(axis=1) + 1
            sizes = np.clip(enough, min(FEWEST, count), order.shape[1])
            inside = np.arange(order.shape[1]) < sizes[:, None]
            ends = np.concatenate([[0], np.cumsum(sizes)])
            ones = np.ones(int(ends[-1]), dtype=np.float32)
            blocks.append(csr_array((ones, order[inside], ends), shape=(count, count)))
        self._pieces = vstack(blocks, format="csr")
        spacing = float(np.median(distance[:, 1])) if count > 1 else 0.0
        self._near = tree.query_ball_point(positions, BORDER * spacing)

    def members(self, piece: int) -> BoolArray:
        """Gaussians (N,) of a piece."""
        chosen: BoolArray = self._pieces[[piece]].toarray()[0] > 0
        return chosen

    def variances(self, gradients: NDArray[np.float32]) -> FloatArray:
        """Variance over the particles of the sum of each piece's gradients (n, N)."""
        by_gaussian = np.ascontiguousarray(gradients.T)
        found = [
            np.square(self._pieces[start : start + _ROWS] @ by_gaussian).mean(axis=1)
            for start in range(0, self._pieces.shape[0], _ROWS)
        ]
        return np.maximum(np.concatenate(found).astype(np.float64), 1e-30)

    def grown(
        self, start: BoolArray, gradients: NDArray[np.float32], noise: NDArray[np.float32]
    ) -> BoolArray:
        """The region with Gaussians at its border taken in or left out while the ratio rises."""
        members = start.copy()
        sums = [_RegionSum.of(values, members) for values in (gradients, noise)]
        border = np.zeros(len(members), dtype=np.int64)
        for inside in np.flatnonzero(members):
            border[self._near[inside]] += 1
        for _ in range(_STEPS):
            changed = [one.with_one_changed(members) for one in sums]
            ratio = np.where(border > 0, changed[0] / np.maximum(changed[1], 1e-30), -np.inf)
            if members.sum() <= FEWEST:
                ratio[members] = -np.inf
            one = int(ratio.argmax())
            if ratio[one] <= (1 + _RISE) * sums[0].variance / max(sums[1].variance, 1e-30):
                break
            for region in sums:
                region.change(one, members)
            members[one] = not members[one]
            border[self._near[one]] += 1 if members[one] else -1
        return members


@dataclass
class _RegionSum:
    """The sum of a region's gradients in each particle, and how its variance would change."""

    gradients: NDArray[np.float32]  # (n, N), of mean 0
    alone: FloatArray  # (N,), variance of each
    total: NDArray[np.float32]  # (n,)

    @classmethod
    def of(cls, gradients: NDArray[np.float32], members: BoolArray) -> _RegionSum:
        alone = np.square(gradients).mean(axis=0).astype(np.float64)
        return cls(gradients, alone, gradients[:, members].sum(axis=1))

    @property
    def variance(self) -> float:
        """Over the particles."""
        return float(np.square(self.total).mean())

    def with_one_changed(self, members: BoolArray) -> FloatArray:
        """Variances (N,) with each Gaussian taken in, or left out, alone."""
        sign = np.where(members, -1.0, 1.0)
        shared = (self.total @ self.gradients) / len(self.total)
        changed: FloatArray = self.variance + 2 * sign * shared + self.alone
        return changed

    def change(self, one: int, members: BoolArray) -> None:
        """Take one in, or leave it out."""
        self.total = self.total + (-1 if members[one] else 1) * self.gradients[:, one]


def _centred(gradients: NDArray[np.float32]) -> NDArray[np.float32]:
    centred: NDArray[np.float32] = gradients - gradients.mean(axis=0)
    return centred


def _variance(gradients: NDArray[np.float32], members: BoolArray) -> float:
    return float(np.square(gradients[:, members].sum(axis=1)).mean())


def _take_out(gradients: NDArray[np.float32], members: BoolArray) -> None:
    """Remove from all gradients what goes with the region's sum over the particles."""
    along = gradients[:, members].sum(axis=1)
    along /= max(float(np.linalg.norm(along)), 1e-30)
    gradients -= np.outer(along, along @ gradients)
