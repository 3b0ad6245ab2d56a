"""Matrix products of sixteen rows that skip the channels in which all of them are zero.

After a rectifier about half of a layer's channels are zero, and rows that resemble
each other (the neighbours of one point) are zero in the same ones. The products
here take a list of the channels that are not, so that the sums are those of the
full product, term by term, without its zeros.

A *block* is an array (channels, 16): the sixteen rows side by side, one vector a
channel. A *unit* is what a lane multiplies in one instruction: one float32, or two
consecutive bfloat16 in an int32 whose products are added to a float32 (in one
instruction where the processor has it). Arrays are flat and contiguous, lists are
int32, offsets are in elements and unchecked.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.cgutils import alloca_once_value, for_range, get_or_insert_function
from numba.extending import intrinsic

from cryoparts.kernels.lanes import element_pointer, multiply_add, repeated
from cryoparts.kernels.processor import processor

ROWS = 16
"""Rows of a block: the lanes of a vector."""

GATHERED = 8
"""Channels that `gather_products` makes at once, as many as fast addresses allow."""

_INT, _INDEX = ir.IntType(32), ir.IntType(64)
_FLOATS, _UNITS = ir.VectorType(ir.FloatType(), ROWS), ir.VectorType(_INT, ROWS)
_ZERO = ir.Constant(_FLOATS, [0.0] * ROWS)


def multiplies_bfloat16() -> bool:
    """Whether there is an instruction for products of bfloat16."""
    return processor().multiplies_bfloat16


def _passes(count: int, share: int = 1) -> list[range]:
    """``count`` in runs as equal as can be, whose vectors the registers hold, ``share`` each."""
    runs = -(-count * share // processor().vectors_at_once(ROWS))
    edges = [count * i // runs for i in range(runs + 1)]
    return [range(*ends) for ends in pairwise(edges)]


def _index(value: int) -> Any:
    return ir.Constant(_INDEX, value)


def _start(context: Any, builder: Any, sig: Any, args: Any, array: int, offset: int) -> Any:
    """Pointer to an element; ``array`` and ``offset`` are the places of the arguments."""
    return element_pointer(context, builder, sig.args[array], args[array], args[offset])


def _load(builder: Any, pointer: Any, offset: Any) -> Any:
    place = builder.gep(pointer, [offset])
    kind = _UNITS if place.type.pointee == _INT else _FLOATS
    return builder.load(builder.bitcast(place, kind.as_pointer()), align=4)


def _store(builder: Any, vector: Any, pointer: Any, offset: Any) -> None:
    place = builder.bitcast(builder.gep(pointer, [offset]), vector.type.as_pointer())
    builder.store(vector, place, align=4)


def _repeated_unit(builder: Any, pointer: Any, offset: Any) -> Any:
    """One unit in all lanes."""
    return repeated(builder, builder.load(builder.gep(pointer, [offset])), ROWS)


def _listed(builder: Any, channels: Any, position: Any) -> Any:
    return builder.sext(builder.load(builder.gep(channels, [position])), _INDEX)


def _add_product(builder: Any, a: Any, b: Any, total: Any) -> Any:
    """``total`` plus the products of two vectors of units."""
    if a.type == _UNITS and not multiplies_bfloat16():
        upper, shift = ir.Constant(_UNITS, [0xFFFF0000] * ROWS), ir.Constant(_UNITS, [16] * ROWS)
        for one, operand in ((builder.shl, shift), (builder.and_, upper)):
            left, right = (builder.bitcast(one(x, operand), _FLOATS) for x in (a, b))
            total = _add_product(builder, left, right, total)
        return total
    if a.type != _UNITS:
        return multiply_add(builder, a, b, total)
    kind = ir.FunctionType(_FLOATS, [_FLOATS, _UNITS, _UNITS])
    name = "llvm.x86.avx512bf16.dpbf16ps.512"
    return builder.call(get_or_insert_function(builder.module, kind, name), [total, a, b])


@intrinsic
def sum_products(
    typingctx: Any,
    out: Any,
    at: Any,
    step: Any,
    vectors: Any,
    vectors_at: Any,
    numbers: Any,
    numbers_at: Any,
    channels: Any,
    channels_at: Any,
    count: Any,
) -> Any:
    """Sixteen sums over the first ``count`` listed channels c.

    ``out[at + i step:][:16] =``
    ``sum_c vectors[vectors_at + 16 c:][:16] numbers[numbers_at + 16 c + i]``
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        places = ((0, 1), (3, 4), (5, 6), (7, 8))
        to, vector, number, listed = (_start(context, builder, sig, args, *x) for x in places)
        for rows in _passes(ROWS):
            sums = [alloca_once_value(builder, _ZERO) for _ in rows]
            with for_range(builder, args[9]) as loop:
                offset = builder.shl(_listed(builder, listed, loop.index), _index(4))
                factor = _load(builder, vector, offset)
                for i, total in zip(rows, sums, strict=True):
                    other = _repeated_unit(builder, number, builder.add(offset, _index(i)))
                    more = _add_product(builder, factor, other, builder.load(total))
                    builder.store(more, total)
            for i, total in zip(rows, sums, strict=True):
                _store(builder, builder.load(total), to, builder.mul(args[2], _index(i)))
        return context.get_dummy_value()

    offset = types.intp
    arguments = (out, offset, offset, vectors, offset, numbers, offset, channels, offset, offset)
    return types.void(*arguments), codegen


@intrinsic
def gather_products(
    typingctx: Any,
    out: Any,
    out_at: Any,
    vectors: Any,
    vectors_at: Any,
    matrix: Any,
    channels: Any,
    channels_at: Any,
    length: Any,
) -> Any:
    """Products of a block with the rows of a matrix (.., length) that are listed.

    For the next `GATHERED` listed channels c, over units r < length:
    ``out[out_at + 16 c:][:16] = sum_r vectors[vectors_at + 16 r:][:16] matrix[c length + r]``
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        to, vector, listed = (
            _start(context, builder, sig, args, *x) for x in ((0, 1), (2, 3), (5, 6))
        )
        whole = element_pointer(context, builder, sig.args[4], args[4], _index(0))
        for places in _passes(GATHERED):
            chosen = [_listed(builder, listed, _index(i)) for i in places]
            rows = [builder.gep(whole, [builder.mul(channel, args[7])]) for channel in chosen]
            sums = [alloca_once_value(builder, _ZERO) for _ in chosen]
            with for_range(builder, args[7]) as loop:
                factor = _load(builder, vector, builder.shl(loop.index, _index(4)))
                for row, total in zip(rows, sums, strict=True):
                    other = _repeated_unit(builder, row, loop.index)
                    more = _add_product(builder, factor, other, builder.load(total))
                    builder.store(more, total)
            for channel, total in zip(chosen, sums, strict=True):
                _store(builder, builder.load(total), to, builder.shl(channel, _index(4)))
        return context.get_dummy_value()

    offset = types.intp
    arguments = (out, offset, vectors, offset, matrix, channels, offset, offset)
    return types.void(*arguments), codegen


def columns_at_once(unit: int) -> int:
    """Columns that `add_products` works on, for units of two bfloat16 or one float32."""
    return unit * ROWS


@intrinsic
def add_products(
    typingctx: Any,
    out: Any,
    at: Any,
    vectors: Any,
    vectors_at: Any,
    step: Any,
    numbers: Any,
    numbers_at: Any,
    channels: Any,
    channels_at: Any,
    count: Any,
) -> Any:
    """Add to rows of a matrix the products of sixteen rows: a gradient of weights.

    For the first ``count`` listed channels c, over the U units u of sixteen rows, with
    W = `columns_at_once`:
    ``out[at + W c:][:W] += sum_u vectors[vectors_at + u step:][:W] numbers[numbers_at + U c + u]``
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        unit = 2 if sig.args[2].dtype == types.int32 else 1
        units, wide = ROWS // unit, columns_at_once(unit)
        places = ((0, 1), (2, 3), (5, 6), (7, 8))
        to, vector, number, listed = (_start(context, builder, sig, args, *x) for x in places)

        def part_of(row: int, column: int) -> Any:
            offset = builder.add(builder.mul(args[4], _index(row)), _index(column))
            return _load(builder, vector, offset)

        columns = range(0, wide, ROWS)
        for rows in _passes(units, len(columns)):
            factors = [[part_of(row, column) for column in columns] for row in rows]
            with for_range(builder, args[9]) as loop:
                channel = _listed(builder, listed, loop.index)
                row = builder.gep(to, [builder.mul(channel, _index(wide))])
                told = builder.gep(number, [builder.mul(channel, _index(units))])
                sums = [_load(builder, row, _index(column)) for column in columns]
                for place, parts in zip(rows, factors, strict=True):
                    other = _repeated_unit(builder, told, _index(place))
                    sums = [
                        _add_product(builder, part, other, total)
                        for part, total in zip(parts, sums, strict=True)
                    ]
                for column, total in zip(columns, sums, strict=True):
                    _store(builder, total, row, _index(column))
        return context.get_dummy_value()

    offset = types.intp
    arguments = (out, offset, vectors, offset, offset, numbers, offset, channels, offset, offset)
    return types.void(*arguments), codegen
