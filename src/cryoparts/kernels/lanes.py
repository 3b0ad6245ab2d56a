"""Vectors of eight or sixteen float32 as a numba type.

Numba leaves vectorisation to LLVM's loop vectoriser, which needs trip counts
known at compile time to keep several accumulators in registers, hence one
compilation a shape. With vectors as values a kernel says itself what is kept in
registers, is compiled once for all shapes and can be cached on disk. LLVM maps
the vectors to whatever the processor has (AVX-512, AVX2, NEON, or scalars).

`load8`, `load16`, `store8`, `store16` and `splat8`, `splat16` (one element of an
array, repeated) take a one-dimensional contiguous float32 array and an element
offset, **unchecked**; `filled8` and `filled16` repeat a number. ``+ - * /`` work on
vectors of equal length.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.core.datamodel import models
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, register_model
from numba.np.arrayobj import make_array

if TYPE_CHECKING:
    from collections.abc import Callable

_FLOAT = ir.FloatType()
_INT = ir.IntType(32)


class Lanes(types.Type):
    """The numba type of a vector of ``count`` float32."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"Lanes({count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Lanes) -> None:
        super().__init__(dmm, fe_type, ir.VectorType(_FLOAT, fe_type.count))


lanes8 = Lanes(8)
lanes16 = Lanes(16)


def _constant(count: int, value: float) -> Any:
    return ir.Constant(ir.VectorType(_FLOAT, count), [value] * count)


def _order(lanes: list[int]) -> Any:
    return ir.Constant(ir.VectorType(_INT, len(lanes)), lanes)


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` of float vectors."""
    kind = a.type
    function = get_or_insert_function(
        builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fmuladd.v{kind.count}f32"
    )
    return builder.call(function, [a, b, c])


def element_pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    """Of an array's element."""
    return builder.gep(make_array(array_type)(context, builder, array).data, [offset])


def _loader(lanes: Lanes) -> Callable[..., Any]:
    vector = ir.VectorType(_FLOAT, lanes.count)

    def load(typingctx: Any, array: Any, offset: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointer = element_pointer(context, builder, sig.args[0], *args)
            return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=4)

        return lanes(array, types.intp), codegen

    return intrinsic(load)  # type: ignore[no-any-return]


def _storer(lanes: Lanes) -> Callable[..., Any]:
    vector = ir.VectorType(_FLOAT, lanes.count)

    def store(typingctx: Any, array: Any, offset: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointer = element_pointer(context, builder, sig.args[0], *args[:2])
            builder.store(args[2], builder.bitcast(pointer, vector.as_pointer()), align=4)
            return context.get_dummy_value()

        return types.void(array, types.intp, lanes), codegen

    return intrinsic(store)  # type: ignore[no-any-return]


def repeated(builder: Any, value: Any, count: int) -> Any:
    """A vector of ``count`` times the same value."""
    empty = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    first = builder.insert_element(empty, value, _INT(0))
    return builder.shuffle_vector(first, empty, _order([0] * count))


def _splatter(lanes: Lanes) -> Callable[..., Any]:
    def splat(typingctx: Any, array: Any, offset: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            value = builder.load(element_pointer(context, builder, sig.args[0], *args))
            return repeated(builder, value, lanes.count)

        return lanes(array, types.intp), codegen

    return intrinsic(splat)  # type: ignore[no-any-return]


def _filler(lanes: Lanes) -> Callable[..., Any]:
    def filled(typingctx: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return repeated(builder, args[0], lanes.count)

        return lanes(types.float32), codegen

    return intrinsic(filled)  # type: ignore[no-any-return]


load8, load16 = _loader(lanes8), _loader(lanes16)
store8, store16 = _storer(lanes8), _storer(lanes16)
splat8, splat16 = _splatter(lanes8), _splatter(lanes16)
filled8, filled16 = _filler(lanes8), _filler(lanes16)


def _arithmetic(function: Any, instruction: str) -> None:
    """Give the vectors the operator ``function`` by LLVM's ``instruction``."""

    @infer_global(function)
    class _Typing(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and isinstance(args[0], Lanes) and args[0] == args[1]:
                return signature(args[0], *args)
            return None

    @lower_builtin(function, Lanes, Lanes)
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args)


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")
_arithmetic(operator.truediv, "fdiv")


@intrinsic
def prefetch(typingctx: Any, array: Any, offset: Any) -> Any:
    """Ask for an element's cache line in the second-level cache."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = element_pointer(context, builder, sig.args[0], *args)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, _INT, _INT, _INT])
        function = get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, _INT(0), _INT(2), _INT(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), codegen


@intrinsic
def zero8(typingctx: Any) -> Any:
    """Eight zeros."""
    return lanes8(), lambda context, builder, sig, args: _constant(8, 0.0)


@intrinsic
def zero16(typingctx: Any) -> Any:
    """Sixteen zeros."""
    return lanes16(), lambda context, builder, sig, args: _constant(16, 0.0)


@intrinsic
def muladd(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, in one rounding where the processor can."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return multiply_add(builder, *args)

    return a(a, b, c), codegen


@intrinsic
def larger(typingctx: Any, a: Any, b: Any) -> Any:
    """The larger of the two, lane by lane; b where either is not a number."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return a(a, b), codegen


@intrinsic
def where_positive(typingctx: Any, condition: Any, value: Any) -> Any:
    """``value`` in the lanes where ``condition > 0``, else zero."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        zero = _constant(sig.return_type.count, 0.0)
        return builder.select(builder.fcmp_ordered(">", args[0], zero), args[1], zero)

    return value(condition, value), codegen


@intrinsic
def exponential(typingctx: Any, x: Any) -> Any:
    """``exp(x)`` for x <= 0 within 2 units in the last place; below -87 it is exp(-87).

    Range reduction by ln 2 in two parts and Moshier's polynomial (Cephes, expf).
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        count = sig.return_type.count
        floats, ints = ir.VectorType(_FLOAT, count), ir.VectorType(_INT, count)

        def constant(value: float) -> Any:
            return _constant(count, value)

        low = constant(-87.0)
        x = builder.select(builder.fcmp_ordered("<", args[0], low), low, args[0])
        # Adding 1.5 * 2**23 rounds to an integer and leaves it in the low bits.
        magic = constant(12582912.0)
        shifted = multiply_add(builder, x, constant(1.4426950408889634), magic)
        power = builder.fsub(shifted, magic)
        rest = multiply_add(builder, power, constant(-0.693359375), x)
        rest = multiply_add(builder, power, constant(2.12194440e-4), rest)
        series = constant(1.9875691500e-4)
        for term in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5):
            series = multiply_add(builder, series, rest, constant(term))
        series = multiply_add(builder, series, builder.fmul(rest, rest), rest)
        series = builder.fadd(series, constant(1.0))
        exponent = builder.add(builder.bitcast(shifted, ints), ir.Constant(ints, [127] * count))
        scale = builder.bitcast(builder.shl(exponent, ir.Constant(ints, [23] * count)), floats)
        return builder.fmul(series, scale)

    return x(x), codegen


@intrinsic
def sums_of_eight(
    typingctx: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any
) -> Any:
    """The sums over the lanes of eight vectors, as the lanes of one."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def fold(x: Any, y: Any, low: list[int], high: list[int]) -> Any:
            parts = [builder.shuffle_vector(x, y, _order(lanes)) for lanes in (low, high)]
            return builder.fadd(*parts)

        rows = list(args)
        for low, high in (
            ([0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]),
            ([0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]),
            ([0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]),
        ):
            rows = [fold(x, y, low, high) for x, y in zip(rows[::2], rows[1::2], strict=True)]
        return rows[0]

    return lanes8(*([lanes8] * 8)), codegen
