"""Rows to blocks and back, and what else moves numbers between lanes.

Units, blocks and offsets are those of `block_products`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from cryoparts.kernels.lanes import element_pointer

if TYPE_CHECKING:
    from collections.abc import Callable

_COUNT = 16
"""Numbers in a vector register of 512 bits in single precision."""

_INT, _INDEX = ir.IntType(32), ir.IntType(64)
_INTS, _HALVES = ir.VectorType(_INT, _COUNT), ir.VectorType(ir.IntType(16), _COUNT)


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Sixteen vectors as a matrix, columns for rows: four exchanges of ever larger squares."""
    for size in (1, 2, 4, 8):
        low = [i if not i & size else i - size + _COUNT for i in range(_COUNT)]
        high = [i + size if not i & size else i + _COUNT for i in range(_COUNT)]
        orders = [ir.Constant(_INTS, lanes) for lanes in (low, high)]
        for i in range(_COUNT):
            if not i & size:
                pair = rows[i], rows[i + size]
                rows[i], rows[i + size] = (builder.shuffle_vector(*pair, x) for x in orders)
    return rows


def _transposer(stored: Callable[[Any], int]) -> Callable[..., Any]:
    def transpose(
        typingctx: Any, out: Any, out_at: Any, out_step: Any, rows: Any, at: Any, step: Any
    ) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            def place(first: int, row: int) -> Any:
                offset = builder.mul(args[first + 2], ir.Constant(_INDEX, row))
                start = builder.add(args[first + 1], offset)
                pointer = element_pointer(context, builder, sig.args[first], args[first], start)
                return builder.bitcast(pointer, _INTS.as_pointer())

            loaded = [builder.load(place(3, row), align=4) for row in range(_COUNT)]
            columns = _transposed(builder, loaded)
            for row in range(stored(sig.args[3])):
                builder.store(columns[row], place(0, row), align=4)
            return context.get_dummy_value()

        offset = types.intp
        return types.void(out, offset, offset, rows, offset, offset), codegen

    return intrinsic(transpose)  # type: ignore[no-any-return]


transpose = _transposer(lambda rows: _COUNT)
"""Sixteen units of each of sixteen rows, as sixteen rows.

Arguments: out, its offset and the distance of its rows; rows, their offset and distance.
"""

transpose_block = _transposer(lambda rows: _COUNT // (2 if rows.dtype == types.int32 else 1))
"""`transpose` for sixteen channels of a block: each is the units of sixteen numbers, no more."""


@intrinsic
def store_pairs(typingctx: Any, out: Any, out_at: Any, numbers: Any, at: Any, step: Any) -> Any:
    """Sixteen units from consecutive numbers of a row and, if they are halves, of the next row.

    The first of each unit is from ``numbers[at:]``, the second from ``numbers[at + step:]``.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        half = sig.args[2].dtype == types.int16
        kind = _HALVES if half else _INTS

        def row(offset: Any) -> Any:
            pointer = element_pointer(context, builder, sig.args[2], args[2], offset)
            loaded = builder.load(
                builder.bitcast(pointer, kind.as_pointer()), align=2 if half else 4
            )
            return builder.zext(loaded, _INTS) if half else loaded

        units = row(args[3])
        if half:
            upper = builder.shl(row(builder.add(*args[3:])), ir.Constant(_INTS, [16] * _COUNT))
            units = builder.or_(units, upper)
        to = element_pointer(context, builder, sig.args[0], *args[:2])
        builder.store(units, builder.bitcast(to, _INTS.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(out, types.intp, numbers, types.intp, types.intp), codegen


@intrinsic
def any_positive(typingctx: Any, vector: Any) -> Any:
    """Whether any of sixteen float32 is above zero, or not a number."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        zero = ir.Constant(args[0].type, [0.0] * _COUNT)
        lanes = builder.fcmp_unordered(">", args[0], zero)
        return builder.icmp_unsigned(
            "!=", builder.bitcast(lanes, ir.IntType(16)), ir.IntType(16)(0)
        )

    return types.boolean(vector), codegen
