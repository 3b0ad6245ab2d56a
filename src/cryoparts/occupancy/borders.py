"""With which part the Gaussians at a border come and go, by the images.

Parts are groups of Gaussians that do the same as the decoder has it, and it blurs borders.
The images tell them: with every part as strong as an image shows it, the image says of each
Gaussian whether it wants more of it or less. A Gaussian that is wanted where a neighbouring
part is there, and unwanted where its own part is, has been put into the wrong one of the two.
Those that images would draw back, more than they drew them, go back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

from cryoparts.occupancy.image_amplitudes import BATCH
from cryoparts.parallel.current import team
from cryoparts.parts.moved_borders import most_kept, neighbours
from cryoparts.parts.part_labels import CORE

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.occupancy.image_amplitudes import PartsFit
    from cryoparts.occupancy.presence_in_images import PresenceInImages

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

ROUNDS = 2
"""A border that has moved by one Gaussian may move by another."""

NEAR = 8
"""Nearest Gaussians (itself one of them): a Gaussian may join the parts that these are in."""

SURE = 2.0
"""Errors by which a Gaussian must be wanted with another part, and unwanted with its own."""

FEWEST_APART = 1e-3
"""Of the variance of a part's presence, which the other parts' presence does not tell."""


def borders_by_presence(asked: PresenceInImages) -> IntArray:
    """The part of each Gaussian (N,), where images say with which of two parts it comes and goes.

    Parts that do not come and go keep their borders.
    """
    given: IntArray = asked.labels.labels
    seen = _Seen.of(asked)
    if not len(seen.parts):
        return given
    near = neighbours(asked.model.positions, NEAR)
    # what some Gaussians at borders explain in other parts is nothing beside the noise
    weights = asked.fit(asked.labels).measure_weights(asked.rows[asked.counted])

    def drawn(now: IntArray) -> _Drawn:
        return _Drawn.of(asked.fit(replace(asked.labels, labels=now)), weights, seen)

    now = given
    for _ in range(ROUNDS):
        forth = drawn(now)
        tried = most_kept(given, _tried(forth, now, near, seen.parts), seen.parts)
        if np.array_equal(tried, now):
            break
        back = drawn(tried)
        stays = forth.gain(now, tried) > back.gain(tried, now)
        now = np.where((tried != now) & stays, tried, now)
    return now


def _tried(drawn: _Drawn, now: IntArray, near: IntArray, parts: IntArray) -> IntArray:
    """The part beside each Gaussian that draws it most and surely, or the one that it is in."""
    own = np.maximum(now, CORE)
    among = np.concatenate([[CORE], parts])[:, None]
    beside = (own[near] == among[..., None]).any(axis=2)
    open_to = beside & (among != own) & np.isin(own, among)
    wanted, unwanted = drawn.errors_with(among, np.inf), -drawn.errors_with(own, -np.inf)
    gain = np.where(open_to & (wanted > SURE) & (unwanted > SURE), drawn.gain(own, among), -np.inf)
    return np.where(gain.max(axis=0) > -np.inf, among[gain.argmax(axis=0), 0], now)


@dataclass(frozen=True)
class _Seen:
    """Which of the parts that come and go are there in the particles that are asked.

    Parameters
    ----------
    parts : int array, shape (K,)
        Their numbers.
    rows : int array, shape (n,)
    design : array, shape (n, 1 + K)
        1, and the probability of each part; 0 of particles that do not count.
    """

    parts: IntArray
    rows: IntArray
    design: FloatArray

    @classmethod
    def of(cls, asked: PresenceInImages) -> Self:
        """Of the optional parts whose presence no other part's presence tells."""
        parts: list[int] = []
        design = np.where(asked.counted, 1.0, 0.0)[:, None]
        for part in asked.composition.optional:
            probability = asked.composition.probability[:, part - 1]
            column = np.where(asked.counted, probability, 0.0)
            left = column - design @ np.linalg.lstsq(design, column, rcond=None)[0]
            if left @ left > FEWEST_APART * asked.counted.sum():
                design = np.column_stack([design, column])
                parts.append(part)
        return cls(np.array(parts, dtype=np.int64), asked.rows, design)


@dataclass(frozen=True)
class _Slopes:
    """Sums over particles of the slopes by Gaussians' amplitudes, times what is there, and squared.

    Their task is a batch of the particles that are asked, by their places among these.
    """

    fit: PartsFit
    weights: Tensor
    seen: _Seen

    def __call__(self, places: IntArray) -> tuple[Tensor, Tensor]:
        """(1 + K, N) and (N,)."""
        slope = self.fit.slopes(self.seen.rows[places], self.weights).double()
        design = torch.as_tensor(self.seen.design[places], device=slope.device)
        return (design.T @ slope).cpu(), (design[:, :1] * slope.square()).sum(dim=0).cpu()


@dataclass(frozen=True)
class _Drawn:
    """How much more of each Gaussian images want where each of K parts is there: a regression.

    Parameters
    ----------
    parts : int array, shape (K,)
    slope : array, shape (K, N)
        Change of the log-likelihood's slope with the presence of a part.
    errors : array, shape (K, N)
        The same in errors.
    """

    parts: IntArray
    slope: FloatArray
    errors: FloatArray

    @classmethod
    def of(cls, fit: PartsFit, weights: Tensor, seen: _Seen) -> _Drawn:
        """By the images of the particles that are asked."""
        places = np.arange(len(seen.rows))
        products, squares = (
            of.numpy() for of in team().total(_Slopes(fit, weights, seen), places, BATCH)
        )
        inverse = np.linalg.inv(seen.design.T @ seen.design)
        found = inverse @ products
        free = max(float(seen.design[:, 0].sum()) - len(inverse), 1.0)
        left = np.maximum(squares - (found * products).sum(axis=0), 0.0) / free
        error = np.sqrt(np.maximum(np.diag(inverse)[:, None] * left, 1e-300))
        return cls(seen.parts, found[1:], (found / error)[1:])

    def errors_with(self, part: IntArray, core: float) -> FloatArray:
        """Errors (..., N) by which each Gaussian is wanted with a part; `core` with the core."""
        return self._with(self.errors, part, core)

    def gain(self, now: IntArray, then: IntArray) -> FloatArray:
        """Slope (..., N) of the log-likelihood on each Gaussian's way from a part to another."""
        return self._with(self.slope, then, 0.0) - self._with(self.slope, now, 0.0)

    def _with(self, values: FloatArray, part: IntArray, core: float) -> FloatArray:
        return np.select([part == number for number in self.parts], list(values), core)
