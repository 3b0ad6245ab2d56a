"""What the passes of `pair_attention` work on: arguments, and each thread's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from cryoparts.published.block_products import GATHERED, ROWS, columns_at_once
from cryoparts.published.pair_attention_stages import Channels, PairGeometry

if TYPE_CHECKING:
    from torch import Tensor

POINTS_A_TILE = 8
"""Points worked on at once: some hundred kilobytes."""


class Points(NamedTuple):
    """One particle's queries, keys and values, or their gradients: (n, C) each."""

    q: Any
    k: Any
    v: Any


class Kept(NamedTuple):
    """What the way back needs of one particle, float32 or bfloat16."""

    hidden: Any  # a block (C, 16) for every sixteen neighbours of a point
    hidden_units: Any  # the same memory
    softmax: Any  # (n, K, C)


class Layers(NamedTuple):
    """Weights of the attention MLP, by sixteen outputs: (C / 16, inputs, 16)."""

    first: Any
    bias: Any  # (C,)
    second: Any


class Tile(NamedTuple):
    """A thread's memory for some points on their way forward."""

    points: int
    rows: Any  # (16, C)
    inputs: Any  # blocks of the attention MLP's input
    active_inputs: Any  # Channels of ``inputs``
    hidden: Any  # blocks
    active_hidden: Any
    logits: Any  # rows, sixteen a block


class TileGradients(NamedTuple):
    """A thread's memory for some points on their way back, beside that of a `Tile`.

    Of everything float32 or bfloat16, ``numbers`` and ``units`` are two views.
    """

    unit: int  # numbers a unit
    columns: int  # that `add_products` works on
    padded: int  # C, rounded up to whole ``columns``
    logit_numbers: Any  # rows, sixteen a block
    logit_units: Any
    logit_block: Any  # (C / unit, 16) units, of one block
    logit_columns: Any  # (16 / unit, padded) units, a block
    block: Any  # float32, of one block
    hidden_numbers: Any  # one block
    hidden_units: Any
    hidden_block: Any  # as of the logits
    hidden_columns: Any
    input_numbers: Any  # blocks
    input_units: Any


class LayerUnits(NamedTuple):
    """Weights of the attention MLP as units: (inputs, C / unit)."""

    first: Any
    second: Any


class LayerGradients(NamedTuple):
    """A thread's sums for the attention MLP."""

    first: Any  # (padded / columns, inputs, columns)
    bias: Any  # a block
    second: Any  # as ``first``


def numbers(tensor: Tensor) -> Any:
    """A flat array over the tensor's memory; int16 stands for bfloat16."""
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy().ravel()


def units(tensor: Tensor) -> Any:
    """The same memory as units of `block_products`."""
    return (tensor.view(torch.int32) if tensor.dtype == torch.bfloat16 else tensor).numpy().ravel()


def unit_of(dtype: torch.dtype) -> int:
    """Numbers a unit."""
    return 2 if dtype == torch.bfloat16 else 1


def blocks_of(geometry: PairGeometry, points: int) -> int:
    """Blocks of so many points."""
    return points * -(-geometry.degree // ROWS)


def make_layers(w1: Tensor, b1: Tensor, w2: Tensor) -> Layers:
    """The attention MLP for `attend`."""
    return Layers(_by_outputs(w1, ROWS), numbers(b1), _by_outputs(w2, ROWS))


def _by_outputs(weight: Tensor, columns: int) -> Any:
    return numbers(weight.view(-1, columns, weight.shape[1]).transpose(1, 2).contiguous())


def make_layer_units(w1: Tensor, w2: Tensor, dtype: torch.dtype) -> LayerUnits:
    """The attention MLP for `attend_back`."""
    return LayerUnits(*(units(w.T.to(dtype).contiguous()) for w in (w1, w2)))


def room_of_kept(geometry: PairGeometry, points: int) -> tuple[int, int]:
    """Numbers that one particle keeps: hidden layer and softmax."""
    pairs = blocks_of(geometry, points) * ROWS, points * geometry.degree
    return pairs[0] * geometry.width, pairs[1] * geometry.width


def make_kept(
    geometry: PairGeometry, points: int, particles: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Room for what so many particles keep: hidden layer and softmax."""
    hidden, softmax = room_of_kept(geometry, points)
    return torch.empty(particles, hidden, dtype=dtype), torch.empty(particles, softmax, dtype=dtype)


def kept_of(kept: tuple[Tensor, Tensor], particle: int) -> Kept:
    """What one particle keeps; nothing if there is no such particle."""
    hidden, softmax = (x[particle : particle + 1] for x in kept)
    return Kept(numbers(hidden), units(hidden), numbers(softmax))


def _channels(blocks: int, width: int) -> Channels:
    room = width + GATHERED
    return Channels(np.zeros(blocks * room, np.int32), np.zeros(blocks, np.int64), room)


def make_tile(geometry: PairGeometry, points: int) -> Tile:
    """Memory of a thread on the way forward."""
    points = max(1, min(POINTS_A_TILE, points))
    width, blocks = geometry.width, blocks_of(geometry, points)
    area = ROWS * width
    inputs, hidden, logits = (np.zeros(blocks * area, np.float32) for _ in range(3))
    active = [_channels(blocks, width) for _ in range(2)]
    rows = np.zeros(area, np.float32)
    return Tile(points, rows, inputs, active[0], hidden, active[1], logits)


def make_tile_gradients(geometry: PairGeometry, tile: Tile, dtype: torch.dtype) -> TileGradients:
    """Memory of a thread on the way back."""
    unit = unit_of(dtype)
    columns = columns_at_once(unit)
    width, blocks = geometry.width, blocks_of(geometry, tile.points)
    area, padded = ROWS * width, -(-width // columns) * columns

    def zeros(count: int) -> Tensor:
        # a transposition reads and writes whole squares, beyond the end by one at most
        return torch.zeros(count + ROWS * ROWS, dtype=dtype)

    logits, logit_block, hidden, hidden_block, inputs = (
        zeros(count) for count in (blocks * area, area, area, area, blocks * area)
    )
    by_columns = [units(zeros(blocks * ROWS * padded)) for _ in range(2)]
    return TileGradients(
        unit,
        columns,
        padded,
        numbers(logits),
        units(logits),
        units(logit_block),
        by_columns[0],
        np.zeros(area, np.float32),
        numbers(hidden),
        units(hidden),
        units(hidden_block),
        by_columns[1],
        numbers(inputs),
        units(inputs),
    )


def make_layer_gradients(back: TileGradients, width: int) -> LayerGradients:
    """Sums of a thread, zero."""
    first, second = (np.zeros(back.padded * width, np.float32) for _ in range(2))
    return LayerGradients(first, np.zeros(ROWS * width, np.float32), second)


def weight_gradient(summed: Any, back: TileGradients, width: int) -> Tensor:
    """One of `LayerGradients` as (outputs, inputs)."""
    by_columns = torch.from_numpy(summed).view(-1, width, back.columns)
    return by_columns.transpose(1, 2).reshape(-1, width)[:width]
