"""The part of Python in which an on-demand transform is written, and what is said of all the rest.

Assignments, `if`, one `return` of a dict; arithmetic, comparisons, `and`, `or`, `not`, `in (…)`, conditional
expressions, and the functions of `FUNCTIONS`. Numbers, texts and tuples of them outside the function count
as if they were written in it. All numbers are float64; `//`, `%` and `round` (half to even) are Python's.
"""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esteira.registry.operations import Kind


class OutsideSubset(BadInput):
    """A transform that uses more of Python than can be translated; it names the line and the construct."""

    def __init__(self, transform: str, line: int, construct: str, mend: str) -> None:
        super().__init__(f"transform {transform!r}, line {line}: {construct} cannot be used; {mend}")
        self.transform, self.line, self.construct, self.mend = transform, line, construct, mend


def is_null(value: float | str | None) -> bool:
    """Whether a value is null: None, or a number that is not finite.

    >>> is_null(None), is_null(0.0)
    (True, False)
    """
    return value is None or (not isinstance(value, str) and not math.isfinite(value))


def coalesce(*values: float | str | None) -> float | str | None:
    """The first value that is not null; None when all are.

    >>> coalesce(None, 7.0)
    7.0
    """
    return next((value for value in values if not is_null(value)), None)


# What a name means that is called. `min`, `max` and `coalesce` take two or more, the others one.
FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "abs": abs,
    "ceil": math.ceil,
    "coalesce": coalesce,
    "cos": math.cos,
    "exp": math.exp,
    "floor": math.floor,
    "is_null": is_null,
    "log": math.log,
    "log1p": math.log1p,
    "max": max,
    "min": min,
    "round": round,
    "sin": math.sin,
    "sqrt": math.sqrt,
}
OF_MANY = ("min", "max", "coalesce")

ARITHMETIC: Mapping[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}
BOOLEAN: Mapping[type[ast.AST], str] = {ast.And: "and", ast.Or: "or"}
_ONE_BY_ONE = "write the steps out one by one"
_HAND_OVER = "hand what it needs over as an input; write log(x) for math.log(x)"
REFUSED: Mapping[type[ast.AST], tuple[str, str]] = {
    ast.For: ("a loop", _ONE_BY_ONE),
    ast.While: ("a loop", _ONE_BY_ONE),
    ast.ListComp: ("a comprehension", _ONE_BY_ONE),
    ast.SetComp: ("a comprehension", _ONE_BY_ONE),
    ast.DictComp: ("a comprehension", _ONE_BY_ONE),
    ast.GeneratorExp: ("a comprehension", _ONE_BY_ONE),
    ast.Attribute: ("an attribute", _HAND_OVER),
    ast.Subscript: ("an index", _HAND_OVER),
    ast.JoinedStr: ("a made text", "compare texts as they are, with == or in"),
    ast.Return: ("an early return", "assign in the branches, and return once at the end"),
    ast.Import: ("an import", "functions such as log are known without one"),
    ast.ImportFrom: ("an import", "functions such as log are known without one"),
    ast.Lambda: ("a function in a function", _ONE_BY_ONE),
    ast.FunctionDef: ("a function in a function", _ONE_BY_ONE),
    ast.NamedExpr: ("an assignment inside an expression", "assign in a line of its own"),
}
USUAL = "use arithmetic, comparisons, and/or/not, conditional expressions and assignments"

CONSTANTS: Mapping[type, Kind] = {
    bool: "condition",
    int: "number",
    float: "number",
    str: "text",
    type(None): "number",
}
COMPARISONS: Mapping[type[ast.AST], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: "<",
    ast.GtE: "<=",
    ast.Eq: "==",
}
