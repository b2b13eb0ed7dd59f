"""What a transform can do with values, each operation twice: for one row and for columns, equal to the bit.

A number is a float64, NaN when null; a condition is the number 1 or 0, NaN when null; a text is a `str`,
None when null, and in columns Arrow's large_string. Every operation has an answer for everything: an operand
that is null makes it null, and so does a result that is not finite (x / 0, log(-1), an overflow). Only
`is_null`, `coalesce`, the branch that `if` does not take, and the side that `and` and `or` need not know
escape that rule, as in SQL.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

Kind = Literal["number", "condition", "text"]
Cell: TypeAlias = float | str | None
Cells: TypeAlias = Any  # a column: NDArray[float64] or a text array of Arrow; or one value for every row

NULL = math.nan


class WrongOperands(BadInput):
    """An operation on kinds of values that it does not take."""

    def __init__(self, op: str, expected: Sequence[str], found: Sequence[str]) -> None:
        super().__init__(f"{op!r} takes {_listed(expected)}, found {_listed(found)}")
        self.op, self.expected, self.found = op, expected, found


def _listed(kinds: Sequence[str]) -> str:
    return " and ".join(f"a {kind}" for kind in kinds) or "nothing"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on its two paths."""

    row: Callable[..., Any]
    column: Callable[..., Any]
    takes: tuple[Kind, ...] = ("number", "number")
    gives: Kind | None = "number"  # None: what its values are
    is_open: bool = False  # whether more of the last kind may follow; those are the same in every row

    def kind(self, op: str, found: Sequence[Kind]) -> Kind:
        """The kind of the answer to operands of these kinds. Raises: WrongOperands."""
        more = len(found) - len(self.takes)
        takes = (*self.takes, *self.takes[-1:] * more) if self.is_open else self.takes
        fits = len(found) == len(takes) and all(
            one == other or (one, other) == ("number", "condition")
            for one, other in zip(takes, found, strict=True)
        )
        if not fits:
            raise WrongOperands(op, takes, found)
        if self.gives is not None:
            return self.gives
        return "condition" if set(found) == {"condition"} else takes[-1]


def _mapped(row: Callable[..., float]) -> Callable[..., NDArray[np.float64]]:
    """For what numpy computes otherwise than Python by a last bit."""

    def column(*operands: Cells) -> NDArray[np.float64]:
        lists = [each.tolist() for each in np.broadcast_arrays(*operands)]
        return np.array(list(map(row, *lists)), dtype=np.float64)

    return column


# Of one and of two apart, because a row runs them one by one and counting operands costs as much as adding.


def _of_one(exact: Callable[[float], float], vectorised: Callable[..., Cells] | None = None) -> Operation:
    def row(value: float) -> float:
        try:
            found = exact(value)
        except (ArithmeticError, ValueError):
            return NULL
        return found if found - found == 0.0 else NULL

    column = _mapped(row) if vectorised is None else _finite(vectorised)
    return Operation(row, column, takes=("number",))


def _of_two(exact: Callable[..., float], vectorised: Callable[..., Cells] | None = None) -> Operation:
    def row(left: float, right: float) -> float:
        try:
            found = exact(left, right)
        except (ArithmeticError, ValueError):
            return NULL
        return found if found - found == 0.0 else NULL

    return Operation(row, _mapped(row) if vectorised is None else _finite(vectorised))


def _finite(vectorised: Callable[..., Cells]) -> Callable[..., Cells]:
    def column(*operands: Cells) -> Cells:
        found = vectorised(*operands)
        return np.where(np.isfinite(found), found, NULL)

    return column


def _known(
    exact: Callable[..., float], vectorised: Callable[..., Cells], gives: Kind = "condition"
) -> Operation:
    """Of two operands that must both be known, although the function would answer for a NaN."""

    def row(left: float, right: float) -> float:
        return NULL if math.isnan(left) or math.isnan(right) else float(exact(left, right))

    def column(left: Cells, right: Cells) -> Cells:
        return np.where(np.isnan(left) | np.isnan(right), NULL, vectorised(left, right))

    return Operation(row, column, gives=gives)


def _power(base: float, exponent: float) -> float:
    """C's pow, but of what is known: it would say 1 of NaN to the power of 0."""
    return NULL if math.isnan(base) or math.isnan(exponent) else math.pow(base, exponent)


def _among(value: float, *options: float) -> float:
    return NULL if math.isnan(value) else float(value in options)


def _among_column(values: Cells, *options: Cells) -> Cells:
    return np.where(np.isnan(values), NULL, np.isin(values, options))


def _numbers(flags: pa.Array) -> NDArray[np.float64]:
    found: NDArray[np.float64] = pc.cast(flags, pa.float64()).to_numpy(zero_copy_only=False)
    return found


def _text_among_column(values: pa.Array, *options: pa.Scalar) -> Cells:
    found = pc.is_in(values, value_set=pa.array([each.as_py() for each in options], pa.large_string()))
    return np.where(values.is_null(), NULL, _numbers(found))


def _same_text(left: str | None, right: str | None) -> float:
    return NULL if left is None or right is None else float(left == right)


_TEXT: Mapping[str, Operation] = {
    "text ==": Operation(
        _same_text, lambda a, b: _numbers(pc.equal(a, b)), takes=("text", "text"), gives="condition"
    ),
    "text in": Operation(
        lambda value, *options: NULL if value is None else float(value in options),
        _text_among_column,
        takes=("text", "text"),
        gives="condition",
        is_open=True,
    ),
    "text is_null": Operation(
        lambda value: float(value is None),
        lambda values: _numbers(values.is_null()),
        takes=("text",),
        gives="condition",
    ),
    "text coalesce": Operation(
        lambda a, b: b if a is None else a, pc.coalesce, takes=("text", "text"), gives="text"
    ),
    "text if": Operation(
        lambda condition, a, b: a if condition == 1.0 else b,
        lambda condition, a, b: pc.if_else(pa.array(condition == 1.0), a, b),
        takes=("condition", "text", "text"),
        gives="text",
    ),
}

# `+ 0.0` turns -0.0 into 0.0, which Python's whole numbers do not know.
OPERATIONS: Mapping[str, Operation] = {
    "+": _of_two(operator.add, np.add),
    "-": _of_two(operator.sub, np.subtract),
    "*": _of_two(operator.mul, np.multiply),
    "/": _of_two(operator.truediv, np.divide),
    "//": _of_two(operator.floordiv, np.floor_divide),
    "%": _of_two(operator.mod, np.remainder),
    "**": _of_two(_power),
    "negative": _of_one(operator.neg, np.negative),
    "abs": _of_one(abs, np.abs),
    "floor": _of_one(lambda value: math.floor(value) + 0.0, lambda values: np.floor(values) + 0.0),
    "ceil": _of_one(lambda value: math.ceil(value) + 0.0, lambda values: np.ceil(values) + 0.0),
    "round": _of_one(lambda value: round(value) + 0.0, lambda values: np.rint(values) + 0.0),
    "sqrt": _of_one(math.sqrt, np.sqrt),
    "log": _of_one(math.log),
    "log1p": _of_one(math.log1p),
    "exp": _of_one(math.exp),
    "sin": _of_one(math.sin),
    "cos": _of_one(math.cos),
    "<": _known(operator.lt, np.less),
    "<=": _known(operator.le, np.less_equal),
    "==": _known(operator.eq, np.equal),
    "min": _known(min, lambda a, b: np.where(b < a, b, a), gives="number"),
    "max": _known(max, lambda a, b: np.where(b > a, b, a), gives="number"),
    "in": Operation(_among, _among_column, gives="condition", is_open=True),
    "is_null": Operation(
        lambda value: float(math.isnan(value)),
        lambda values: np.isnan(values).astype(np.float64),
        takes=("number",),
        gives="condition",
    ),
    "coalesce": Operation(
        lambda a, b: b if math.isnan(a) else a,
        lambda a, b: np.where(np.isnan(a), b, a),
        gives=None,
    ),
    "if": Operation(
        lambda condition, a, b: a if condition == 1.0 else b,
        lambda condition, a, b: np.where(condition == 1.0, a, b),
        takes=("condition", "number", "number"),
        gives=None,
    ),
    "not": Operation(lambda a: 1.0 - a, lambda a: 1.0 - a, takes=("condition",), gives="condition"),
    "and": Operation(
        lambda a, b: 0.0 if a == 0.0 or b == 0.0 else a * b,
        lambda a, b: np.where((a == 0.0) | (b == 0.0), 0.0, a * b),
        takes=("condition", "condition"),
        gives="condition",
    ),
    "or": Operation(
        lambda a, b: 1.0 if a == 1.0 or b == 1.0 else a + b,
        lambda a, b: np.where((a == 1.0) | (b == 1.0), 1.0, a + b),
        takes=("condition", "condition"),
        gives="condition",
    ),
    **_TEXT,
}
