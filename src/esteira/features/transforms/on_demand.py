"""On-demand transforms: features that are computed when asked, from the request and from other features.

One function serves both sides. It is written in plain Python, translated once into an expression, and that
expression runs on the columns of a training table and on the one row of a request, equal to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from esteira.base.errors import BadInput
from esteira.features.point_in_time import ClashingNames
from esteira.features.transforms.translation import translate
from esteira.registry.columns import Column, number_of, text_of
from esteira.registry.derived import Derived
from esteira.registry.signature import derive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esteira.registry.operations import Cell, Kind

_KINDS: Mapping[type, Kind] = {float: "number", str: "text"}
_TYPES = {kind: python for python, kind in _KINDS.items()}


class WrongTransform(BadInput):
    """An on-demand transform whose declaration cannot mean anything."""

    def __init__(self, transform: str, what: str) -> None:
        super().__init__(f"transform {transform!r}: {what}")
        self.transform = transform


@dataclass(frozen=True, slots=True)
class OnDemand:
    """A transform, made by `on_demand`. Call it with one row, or apply it to a table.

    A null operand makes a result null, and so does a result that is not finite (x / 0, log(-1)); NaN and
    infinities among the inputs count as null. As in SQL, a condition that is null takes the else branch,
    `False and null` is False and `True or null` is True. `is_null` and `coalesce` tell nulls from values.
    """

    derived: Derived

    def __call__(self, *values: Cell, **named: Cell) -> dict[str, float | None]:
        """The outputs for one row of inputs; None is null. Raises: WrongTransform, WrongInput."""
        expression = self.derived.expression
        given = {**dict(zip(self.inputs, values, strict=False)), **named}
        if len(values) + len(named) != len(given) or given.keys() != self.inputs.keys():
            raise WrongTransform(self.name, f"give each input once: {', '.join(self.inputs)}")
        found = expression.row([_cell(name, kind, given[name]) for name, kind in expression.inputs])
        pairs = zip(expression.outputs, found, strict=True)
        return {output: None if math.isnan(value) else value for (output, _), value in pairs}

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.derived.name

    @property
    def inputs(self) -> dict[str, type]:
        """The declared inputs: column names with `float` or `str`."""
        return {name: _TYPES[kind] for name, kind in self.derived.expression.inputs}

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its outputs in a training set and in a signature: `transform__output`."""
        return self.derived.columns

    def apply(self, table: pa.Table) -> pa.Table:
        """The table with a float64 column for each output, null where there is none.

        Raises: WrongInput (an input that is not there, or of another type), ClashingNames.
        """
        clashing = set(self.columns) & set(table.column_names)
        if clashing:
            raise ClashingNames(clashing)
        for name, values in derive(table, self.derived).items():
            table = table.append_column(name, pa.array(values, from_pandas=True))
        return table

    def definition(self) -> dict[str, Any]:
        """All that decides its outputs, as JSON values: what a cache key or a manifest digests."""
        return self.derived.to_plain()

    def ref(self) -> Derived:
        """The transform as a signature keeps it and a gateway computes it."""
        return self.derived


def on_demand(*, inputs: Mapping[str, type]) -> Callable[[Callable[..., Any]], OnDemand]:
    """Make a function of the subset a transform; `inputs` names its columns, each `float` or `str`.

    The outputs are the keys of the dict that the function returns; in tables they are named
    `function__output`. Raises: WrongTransform, OutsideSubset (it names the line and the mend).

    >>> @on_demand(inputs={"distance": float, "weather__wind_speed": float})
    ... def headwind(distance, weather__wind_speed):
    ...     return {"share": weather__wind_speed / distance}
    >>> headwind(200, 10), headwind(0, 10)
    ({'share': 0.05}, {'share': None})
    >>> flights = pa.table({"distance": [200, 0], "weather__wind_speed": [10.0, 10.0]})
    >>> headwind.apply(flights)["headwind__share"].to_pylist()
    [0.05, None]
    """

    def transform(function: Callable[..., Any]) -> OnDemand:
        name = getattr(function, "__name__", repr(function))
        if not isinstance(function, FunctionType) or not _is_name(name):
            raise WrongTransform(name, "decorate a function whose name has no double underscore, e.g. rush")
        for column, python in inputs.items():
            if python not in _KINDS:
                raise WrongTransform(name, f"input {column!r} must be float or str, found {python!r}")
        kinds = {column: _KINDS[python] for column, python in inputs.items()}
        return OnDemand(Derived(name, translate(function, kinds)))

    return transform


def _is_name(name: str) -> bool:
    return name.isidentifier() and "__" not in name and not name.startswith("_")


def _cell(name: str, kind: Kind, value: object) -> Cell:
    column = Column(name, optional=True)
    if kind == "text":
        return text_of(column, value)
    if isinstance(value, float):  # an infinity is null here, as in a table
        return float(value)
    try:
        return number_of(column, None, value)
    except OverflowError:  # a whole number beyond every float
        return math.inf
