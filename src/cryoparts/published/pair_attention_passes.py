"""A particle's way through `pair_attention` and back: stages and matrix products in order.

The points are taken some at a time, so that what passes between the products, and
the weights that it meets, stay in the processor's caches. Blocks and units are those of
`block_products`; the arguments are made by `pair_attention_memory`.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from cryoparts.kernels.compiled import compiled
from cryoparts.published.block_products import (
    GATHERED,
    ROWS,
    add_products,
    gather_products,
    sum_products,
)
from cryoparts.published.lane_shuffles import store_pairs, transpose, transpose_block
from cryoparts.published.pair_attention_stages import (
    add_block,
    hidden_inputs,
    list_channels,
    point_gradients,
    rectify,
    rectify_gradients,
    softmax_gradients,
    store_block,
    weighted_values,
)


@compiled(nogil=True)
def attend(
    out: Any, kept: Any, keep: Any, particle: Any, layers: Any, geometry: Any, tile: Any
) -> None:
    """Write one particle's output (n, C); and what is kept of it, if it is to be kept."""
    width = geometry.width
    area = ROWS * width
    parts = -(-geometry.degree // ROWS)
    points = particle.q.size // width
    for start in range(0, points, tile.points):
        count = min(start + tile.points, points) - start
        for block in range(count * parts):
            point, part = start + block // parts, block % parts
            hidden_inputs(tile.inputs, block * area, tile.rows, particle, geometry, point, part)
            list_channels(tile.active_inputs, block, tile.inputs, block * area, width)
        _multiply_to_blocks(tile, layers.first, count * parts, width)
        for block in range(count * parts):
            to = (start * parts + block) * area
            rectify(tile.hidden, block * area, layers.bias, kept.hidden, to, keep)
            list_channels(tile.active_hidden, block, tile.hidden, block * area, width)
        _multiply_to_rows(tile, layers.second, count * parts, width)
        for i in range(count):
            rows = i * parts * area
            weighted_values(
                out, kept.softmax, tile.logits, rows, particle.v, geometry, keep, start + i
            )


@njit(nogil=True)
def _multiply_to_blocks(tile: Any, weight: Any, blocks: Any, width: Any) -> None:
    """Inputs to the hidden layer."""
    active = tile.active_inputs
    for outputs in range(0, width, ROWS):
        for block in range(blocks):
            start = block * ROWS * width
            sum_products(
                tile.hidden,
                start + outputs * ROWS,
                ROWS,
                tile.inputs,
                start,
                weight,
                outputs * width,
                active.listed,
                block * active.room,
                active.count[block],
            )


@njit(nogil=True)
def _multiply_to_rows(tile: Any, weight: Any, blocks: Any, width: Any) -> None:
    """The hidden layer to logits."""
    active = tile.active_hidden
    for outputs in range(0, width, ROWS):
        for block in range(blocks):
            start = block * ROWS * width
            sum_products(
                tile.logits,
                start + outputs,
                width,
                weight,
                outputs * width,
                tile.hidden,
                start,
                active.listed,
                block * active.room,
                active.count[block],
            )


@compiled(nogil=True)
def attend_back(
    to: Any,
    sums: Any,
    position: Any,
    grad: Any,
    out: Any,
    kept: Any,
    particle: Any,
    layers: Any,
    geometry: Any,
    tile: Any,
    back: Any,
) -> None:
    """Add one particle's gradients to ``to``, ``sums`` and ``position``."""
    width = geometry.width
    area = ROWS * width
    parts = -(-geometry.degree // ROWS)
    points = particle.q.size // width
    for start in range(0, points, tile.points):
        blocks = parts * (min(start + tile.points, points) - start)
        first = start * parts
        for block in range(0, blocks, parts):
            softmax_gradients(
                back.logit_numbers, block * area, to.v, position, grad, out, kept.softmax,
                particle.v, geometry, start + block // parts,
            )  # fmt: skip
        for block in range(blocks):
            list_channels(tile.active_hidden, block, kept.hidden, (first + block) * area, width)
            _pair_rows(back, block, width)
        _add_layer(
            sums.second, back.logit_columns, kept.hidden_units, first, tile.active_hidden,
            back, blocks, width,
        )  # fmt: skip
        for block in range(blocks):
            point, part = start + block // parts, block % parts
            _gradient_of_hidden(layers.second, tile.active_hidden, back, block, width)
            rectify_gradients(back.block, kept.hidden, (first + block) * area, width)
            add_block(sums.bias, back.block, width)
            store_block(back.hidden_numbers, 0, back.block, width)
            _pair_channels(back, block, width)
            hidden_inputs(tile.inputs, 0, tile.rows, particle, geometry, point, part)
            list_channels(tile.active_inputs, block, tile.inputs, 0, width)
            store_block(back.input_numbers, block * area, tile.inputs, width)
            _gradient_of_inputs(layers.first, tile.active_inputs, back, block, width)
            rectify_gradients(back.block, tile.inputs, 0, width)
            for channel in range(0, width, ROWS):
                transpose(tile.rows, channel, width, back.block, ROWS * channel, ROWS)
            point_gradients(to.q, to.k, position, tile.rows, geometry, point, part)
        _add_layer(
            sums.first, back.hidden_columns, back.input_units, 0, tile.active_inputs,
            back, blocks, width,
        )  # fmt: skip


@njit(nogil=True)
def _add_layer(
    out: Any,
    columns: Any,
    numbers: Any,
    first: Any,
    active: Any,
    back: Any,
    blocks: Any,
    width: Any,
) -> None:
    """Add a layer's gradient: its outputs' (columns) times its active inputs (numbers)."""
    units = ROWS // back.unit
    for column in range(0, back.padded, back.columns):
        for block in range(blocks):
            add_products(
                out,
                column * width,
                columns,
                block * units * back.padded + column,
                back.padded,
                numbers,
                (first + block) * units * width,
                active.listed,
                block * active.room,
                active.count[block],
            )


@njit(nogil=True)
def _pair_rows(back: Any, block: Any, width: Any) -> None:
    """The logits' gradient with units of neighbours: ``logit_columns``."""
    units = ROWS // back.unit
    for unit in range(units):
        to = (block * units + unit) * back.padded
        row = (block * ROWS + unit * back.unit) * width
        for channel in range(0, width, ROWS):
            store_pairs(back.logit_columns, to + channel, back.logit_numbers, row + channel, width)


@njit(nogil=True)
def _pair_channels(back: Any, block: Any, width: Any) -> None:
    """The hidden layer's gradient with units of channels, and with units of neighbours."""
    units = ROWS // back.unit
    for unit in range(width // back.unit):
        at = unit * back.unit * ROWS
        store_pairs(back.hidden_block, unit * ROWS, back.hidden_numbers, at, ROWS)
    for channel in range(0, width, ROWS):
        to, at = block * units * back.padded + channel, channel * units
        transpose_block(back.hidden_columns, to, back.padded, back.hidden_units, at, units)


@njit(nogil=True)
def _gradient_of_hidden(weight: Any, active: Any, back: Any, block: Any, width: Any) -> None:
    """Into ``block`` where the hidden layer is active, from the logits' gradient."""
    length = width // back.unit
    rows = block * ROWS * length
    for unit in range(0, length, ROWS):
        transpose(back.logit_block, ROWS * unit, ROWS, back.logit_units, rows + unit, length)
    _gather(weight, active, back.logit_block, back.block, block, length)


@njit(nogil=True)
def _gradient_of_inputs(weight: Any, active: Any, back: Any, block: Any, width: Any) -> None:
    """Into ``block`` where the inputs are active, from the hidden layer's gradient."""
    _gather(weight, active, back.hidden_block, back.block, block, width // back.unit)


@njit(nogil=True)
def _gather(weight: Any, active: Any, vectors: Any, out: Any, block: Any, length: Any) -> None:
    listed = block * active.room
    for i in range(0, active.count[block], GATHERED):
        gather_products(out, 0, vectors, 0, weight, active.listed, listed + i, length)
