"""Conditions on the columns of particles: ``amplitude:part_3 < 0.3 and angle:arm > 5``."""

from __future__ import annotations

import ast
import operator
import re
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cryoparts.selection.particle_columns import ParticleColumns

    FloatArray = NDArray[np.float64]
    BoolArray = NDArray[np.bool_]

LANGUAGE = (
    "Write conditions on columns, for example: amplitude:part_3 < 0.3 and angle:part_1 > 5. "
    "Allowed are and, or, not, brackets, < <= > >= == !=, in (1, 3), + - * / **, abs(), sqrt(), "
    "log(), quantile(column, 0.1), and selection:name; a column of several parts stands in "
    "backticks: `state:part_1+part_3` == 2."
)
LONGEST = 10_000
"""Letters of a condition: a longer one is no condition that a person wrote."""

_COLUMN = re.compile(r"`([^`]+)`|([A-Za-z_]\w*:\w+)", re.ASCII)
_STAND_IN = "column_{}_of_particles"

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {"abs": np.abs, "sqrt": np.sqrt, "log": np.log}


@dataclass(frozen=True)
class Truth:
    """For each of P particles: is the condition true, is it false, or neither (unknown).

    Parameters
    ----------
    true, false : bool arrays, shape (P,)
        Never both. Neither where a value that decides is missing (Kleene's logic).
    """

    true: BoolArray
    false: BoolArray

    @property
    def unknown(self) -> BoolArray:
        """Particles of which the run does not say enough to decide."""
        return np.asarray(~(self.true | self.false))

    def __invert__(self) -> Truth:
        return Truth(self.false, self.true)

    def __and__(self, other: Truth) -> Truth:
        return Truth(self.true & other.true, self.false | other.false)

    def __or__(self, other: Truth) -> Truth:
        return Truth(self.true | other.true, self.false & other.false)


def evaluate(expression: str, columns: ParticleColumns) -> Truth:
    """Which particles satisfy a condition.

    Nothing but the listed operations is ever carried out: the text is parsed, and
    only comparisons, arithmetic and logic of columns and numbers are followed.

    Parameters
    ----------
    expression : str
    columns : ParticleColumns

    Raises
    ------
    InputError
        If the text is no such condition, or a column is unknown; the message names it
        and lists the known ones.
    """
    if len(expression) > LONGEST:
        _refuse(expression[:40] + " ...", f"is longer than {LONGEST} characters")
    names: list[str] = []

    def stand_in(match: re.Match[str]) -> str:
        names.append(match[1] or match[2])
        return f" {_STAND_IN.format(len(names) - 1)} "

    text = _COLUMN.sub(stand_in, expression).strip()
    known = {_STAND_IN.format(i): name for i, name in enumerate(names)}
    try:
        tree = ast.parse(text, mode="eval")
        with np.errstate(all="ignore"):  # 1/0 and log(-1) are missing values, as in a table
            result = _Evaluation(expression, columns, known).of(tree.body)
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError) as fault:
        raise InputError(f"condition {expression!r}", "cannot be understood", LANGUAGE) from fault
    if not isinstance(result, Truth):
        _refuse(expression, "is a number, not a condition that is true or false")
    return result


def _refuse(expression: str, problem: str) -> NoReturn:
    raise InputError(f"condition {expression!r}", problem, LANGUAGE)


class _Evaluation:
    """Follows a parsed expression over the columns."""

    def __init__(self, expression: str, columns: ParticleColumns, known: dict[str, str]) -> None:
        self._expression = expression
        self._columns = columns
        self._known = known

    def of(self, node: ast.expr) -> FloatArray | Truth:
        """Numbers (P,) or truth of a node."""
        match node:
            case ast.BoolOp(op=connective, values=operands):
                join = operator.and_ if isinstance(connective, ast.And) else operator.or_
                return reduce(join, [self.truth(operand) for operand in operands])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self.truth(operand)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.numbers(operand)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.numbers(operand)
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _ARITHMETIC:
                numbers = _ARITHMETIC[type(sign)](self.numbers(left), self.numbers(right))
                return np.asarray(numbers, dtype=np.float64)
            case ast.Compare():
                return self._comparison(node)
            case ast.Constant(value=bool()):
                _refuse(self._expression, "compares with True or False, columns are numbers")
            case ast.Constant(value=int() | float() as number):
                return np.full(len(self._columns), float(number))
            case ast.Name(id=name):
                return self._column(name)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments)
        _refuse(self._expression, f"holds {ast.unparse(node)[:60]!r}, which is not allowed")

    def truth(self, node: ast.expr) -> Truth:
        """A node that must be a condition."""
        found = self.of(node)
        if not isinstance(found, Truth):
            _refuse(self._expression, "joins a number by and, or, not: compare it first")
        return found

    def numbers(self, node: ast.expr) -> FloatArray:
        """A node that must be numbers."""
        found = self.of(node)
        if isinstance(found, Truth):
            _refuse(self._expression, "computes with a condition: join conditions by and, or, not")
        return found

    def _column(self, name: str) -> FloatArray | Truth:
        column = self._columns.canonical(self._known.get(name, name))
        values = self._columns.values[column]
        if column.startswith("selection:"):
            return Truth(values == 1, values == 0)
        return values

    def _comparison(self, node: ast.Compare) -> Truth:
        result: Truth | None = None
        left = node.left
        for sign, right in zip(node.ops, node.comparators, strict=True):
            one = self._compare(left, sign, right)
            result = one if result is None else result & one
            left = right
        assert result is not None
        return result

    def _compare(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> Truth:
        if isinstance(sign, ast.In | ast.NotIn):
            if not isinstance(right, ast.Tuple | ast.List | ast.Set):
                _refuse(self._expression, "needs a list after `in`: in (1, 3)")
            everyone = np.ones(len(self._columns), dtype=bool)
            listed = Truth(~everyone, everyone)
            for element in right.elts:
                listed = listed | self._compare(left, ast.Eq(), element)
            return listed if isinstance(sign, ast.In) else ~listed
        if type(sign) not in _COMPARISONS:
            _refuse(self._expression, "compares by something else than < <= > >= == != in")
        one, other = self.numbers(left), self.numbers(right)
        known = ~(np.isnan(one) | np.isnan(other))
        holds = np.asarray(_COMPARISONS[type(sign)](one, other))
        return Truth(holds & known, ~holds & known)

    def _call(self, name: str, arguments: list[ast.expr]) -> FloatArray:
        if name in _FUNCTIONS and len(arguments) == 1:
            return np.asarray(_FUNCTIONS[name](self.numbers(arguments[0])), dtype=np.float64)
        if name == "quantile" and len(arguments) == 2:
            return self._quantile(self.numbers(arguments[0]), arguments[1])
        _refuse(self._expression, f"calls {name}() with {len(arguments)} values")

    def _quantile(self, values: FloatArray, level: ast.expr) -> FloatArray:
        if not (isinstance(level, ast.Constant) and isinstance(level.value, int | float)):
            _refuse(self._expression, "needs a number from 0 to 1 in quantile(column, number)")
        if not 0 <= level.value <= 1:
            _refuse(self._expression, f"asks for the quantile {level.value}, which is not 0 to 1")
        finite = values[np.isfinite(values)]
        found = np.quantile(finite, level.value) if len(finite) else np.nan
        return np.full(len(values), float(found))
