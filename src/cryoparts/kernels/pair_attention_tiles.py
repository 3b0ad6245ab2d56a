"""`pair_attention` tile by tile: stages and matrix products in their order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cryoparts.kernels.pair_attention_stages import (
    PairGeometry,
    PositionGradients,
    hidden_inputs,
    point_gradients,
    rectify,
    rectify_gradients,
    softmax_gradients,
    weighted_values,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

LANES = 16
"""Channels in a vector: their number is a multiple of it."""
PAIRS_A_TILE = 1024
"""Pairs worked on at once: some megabytes, of which a product's operands stay in cache."""


def flat(tensor: Tensor) -> Any:
    """A flat array over the tensor's memory; int16 stands for bfloat16."""
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy().ravel()


class Crew:
    """Threads that share out the channels of a stage."""

    def __init__(self, width: int) -> None:
        vectors = width // LANES
        self.size = max(1, min(torch.get_num_threads(), vectors))
        edges = [LANES * (vectors * i // self.size) for i in range(self.size + 1)]
        self.ranges = list(pairwise(edges))
        self.pool = ThreadPoolExecutor(self.size) if self.size > 1 else None

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        if self.pool:
            self.pool.shutdown()

    def run(self, stage: Callable[[int, int, int], None]) -> None:
        """``stage(thread, first channel, last channel)`` on all channels."""
        tasks = [partial(stage, i, *ends) for i, ends in enumerate(self.ranges)]
        if self.pool is None:
            tasks[0]()
            return
        for future in [self.pool.submit(task) for task in tasks]:
            future.result()


class ForwardTiles:
    """A tile's way from queries, keys and values to the output, in a given precision."""

    def __init__(self, tensors: tuple[Tensor, ...], dtype: torch.dtype, crew: Crew) -> None:
        self.q, self.k, self.v, encoding, weight, w1, b1, w2, _, neighbours = tensors
        self.points, degree = neighbours.shape
        self.width = self.q.shape[-1]
        self.w1, self.w2, self.b1 = w1.to(dtype), w2.to(dtype), flat(b1)
        self.geometry = PairGeometry(
            flat(neighbours), flat(encoding), flat(weight.T.contiguous()), degree, self.width
        )
        self.crew = crew
        size = max(1, PAIRS_A_TILE // degree)
        self.tiles = [(i, min(i + size, self.points)) for i in range(0, self.points, size)]
        rows = min(size, self.points) * degree
        self.buffers = [torch.empty(rows, self.width, dtype=dtype) for _ in range(2)]

    def rows(self, tile: tuple[int, int]) -> slice:
        """The tile's pairs."""
        return slice(tile[0] * self.geometry.degree, tile[1] * self.geometry.degree)

    def inputs(self, particle: int, tile: tuple[int, int], out: Tensor) -> None:
        """The attention MLP's input, rectified."""
        q, k, to = flat(self.q[particle]), flat(self.k[particle]), flat(out)
        self.crew.run(lambda _, *ends: hidden_inputs(to, q, k, self.geometry, *tile, *ends))

    def attend(
        self, particle: int, tile: tuple[int, int], kept: tuple[Tensor, Tensor] | None, out: Any
    ) -> None:
        """Write the tile's rows of ``out``, and hidden layer and softmax to ``kept``."""
        pairs = self.rows(tile)
        count = pairs.stop - pairs.start
        first, second = (buffer[:count] for buffer in self.buffers)
        self.inputs(particle, tile, first)
        torch.mm(first, self.w1.T, out=second)
        keep, values, v = kept is not None, flat(second), flat(self.v[particle])
        hidden, softmax = (flat(x) for x in kept or (second, second))
        self.crew.run(lambda _, *ends: rectify(hidden, values, self.b1, keep, *ends))
        torch.mm(second, self.w2.T, out=first)
        logits = flat(first)
        self.crew.run(
            lambda _, *ends: weighted_values(
                out, softmax, logits, v, self.geometry, keep, *tile, *ends
            )
        )


class BackwardTiles:
    """The gradients' way back, added up over tiles and particles."""

    def __init__(self, tensors: tuple[Tensor, ...], dtype: torch.dtype, crew: Crew) -> None:
        self.tensors, self.way = tensors, ForwardTiles(tensors, dtype, crew)
        self.q, self.k, self.v = (torch.zeros_like(x) for x in tensors[:3])
        self.encoding = torch.zeros(crew.size, *tensors[3].shape)
        self.weight = torch.zeros(3, self.way.width)
        self.w1, self.b1, self.w2 = (torch.zeros_like(x) for x in tensors[5:8])
        self.position = [PositionGradients(flat(x), flat(self.weight)) for x in self.encoding]
        self.lanes = [np.empty(LANES, np.float32) for _ in range(crew.size)]
        self.spare = torch.empty_like(self.way.buffers[0])
        self.again: tuple[ForwardTiles, Tensor, Tensor, Tensor] | None = None

    def gradients(self) -> tuple[Tensor, ...]:
        """Of `pair_attention`'s arguments from q to w2."""
        encoding, weight = self.encoding.sum(dim=0), self.weight.T.contiguous()
        return (self.q, self.k, self.v, encoding, weight, self.w1, self.b1, self.w2)

    def particle(
        self, particle: int, grad: Tensor, out: Tensor, kept: tuple[Tensor, Tensor] | None
    ) -> None:
        """Add one particle's; without ``kept`` its pairs are computed again."""
        for tile in self.way.tiles:
            pairs = self.way.rows(tile)
            if kept is None:
                hidden, softmax = self._again(particle, tile, pairs.stop - pairs.start)
            else:
                hidden, softmax = (x[pairs] for x in kept)
            self._tile(particle, tile, grad, out, hidden, softmax)

    def _again(self, particle: int, tile: tuple[int, int], count: int) -> tuple[Tensor, Tensor]:
        # In float32: rounding would switch units on and off that forward were not.
        if self.again is None:
            exact = ForwardTiles(self.tensors, torch.float32, self.way.crew)
            unused = torch.empty_like(self.q[0])
            spare = torch.empty_like(self.spare), torch.empty_like(self.spare)
            self.again = (exact, unused, *spare)
        exact, unused, hidden, softmax = self.again
        hidden, softmax = hidden[:count], softmax[:count]
        exact.attend(particle, tile, (hidden, softmax), flat(unused))
        return hidden, softmax

    def _tile(
        self,
        particle: int,
        tile: tuple[int, int],
        grad: Tensor,
        out: Tensor,
        hidden: Tensor,
        softmax: Tensor,
    ) -> None:
        way, run = self.way, self.way.crew.run
        first, second, third = (x[: len(hidden)] for x in (*way.buffers, self.spare))
        v, grad_v = flat(way.v[particle]), flat(self.v[particle])
        q, k, b1 = flat(self.q[particle]), flat(self.k[particle]), flat(self.b1)
        a, b, c, h, w = (flat(x) for x in (first, second, third, hidden, softmax))
        g, y = flat(grad), flat(out)

        def to_logits(thread: int, *ends: int) -> None:
            told, lanes = self.position[thread], self.lanes[thread]
            softmax_gradients(a, grad_v, told, g, y, w, v, way.geometry, lanes, *tile, *ends)

        def to_points(thread: int, *ends: int) -> None:
            told, lanes = self.position[thread], self.lanes[thread]
            point_gradients(q, k, told, c, a, way.geometry, lanes, *tile, *ends)

        run(to_logits)
        _add_product(self.w2, first, hidden)
        torch.mm(first, way.w2, out=second)
        run(lambda _, *ends: rectify_gradients(b, b1, h, *ends))
        way.inputs(particle, tile, first)
        _add_product(self.w1, second, first)
        torch.mm(second, way.w1, out=third)
        run(to_points)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left.T @ right, summed within and over tiles in float32."""
    if left.dtype == total.dtype:
        total.addmm_(left.T, right)
    else:
        total.add_(left.T @ right)
