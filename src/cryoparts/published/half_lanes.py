"""Sixteen numbers to and from memory, whether it holds float32 or bfloat16.

Numba knows no bfloat16: an array of int16 stands for one here, its elements the
upper halves of float32 numbers. Computing is done in float32 all the same. The
element offsets are unchecked, as in `lanes`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from cryoparts.kernels.lanes import Lanes, element_pointer, lanes16

_COUNT = 16
"""Numbers in a vector register of 512 bits in single precision."""

_FLOATS = ir.VectorType(ir.FloatType(), _COUNT)
_INTS = ir.VectorType(ir.IntType(32), _COUNT)
_HALVES = ir.VectorType(ir.IntType(16), _COUNT)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    kind = _HALVES if array_type.dtype == types.int16 else _FLOATS
    place = element_pointer(context, builder, array_type, array, offset)
    return builder.bitcast(place, kind.as_pointer())


def _repeated(value: int) -> Any:
    return ir.Constant(_INTS, [value] * _COUNT)


@intrinsic
def load_any(typingctx: Any, array: Any, offset: Any) -> Any:
    """Sixteen numbers of a flat float32 or bfloat16 (int16) array."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        half = sig.args[0].dtype == types.int16
        loaded = builder.load(
            _pointer(context, builder, sig.args[0], *args), align=2 if half else 4
        )
        if not half:
            return loaded
        bits = builder.shl(builder.zext(loaded, _INTS), _repeated(16))
        return builder.bitcast(bits, _FLOATS)

    return lanes16(array, types.intp), codegen


@intrinsic
def store_any(typingctx: Any, array: Any, offset: Any, value: Any) -> Any:
    """Store sixteen numbers, rounded to nearest (ties to even) where the array is bfloat16."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        half = sig.args[0].dtype == types.int16
        value = args[2]
        if half:
            bits = builder.bitcast(value, _INTS)
            odd = builder.and_(builder.lshr(bits, _repeated(16)), _repeated(1))
            rounded = builder.add(builder.add(bits, _repeated(0x7FFF)), odd)
            # adding could carry a NaN into the sign bit; a NaN that is cut off stays one
            number = builder.fcmp_ordered("ord", value, value)
            quiet = builder.or_(bits, _repeated(0x400000))
            kept = builder.select(number, rounded, quiet)
            value = builder.trunc(builder.lshr(kept, _repeated(16)), _HALVES)
        pointer = _pointer(context, builder, sig.args[0], *args[:2])
        builder.store(value, pointer, align=2 if half else 4)
        return context.get_dummy_value()

    assert isinstance(value, Lanes)
    return types.void(array, types.intp, lanes16), codegen
