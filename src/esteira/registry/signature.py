"""What a model asks for and in which order: the contract that training and serving share.

One `Signature` turns a table (training) and a request (serving) into the same numbers, to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MISSING = math.nan  # an absent number and an unknown category


class WrongInput(BadInput):
    """A row or table that does not fit the signature; it names the column and what was expected."""

    def __init__(self, column: str, expected: str, found: str) -> None:
        super().__init__(f"column {column!r} must be {expected}, found {found}")
        self.column, self.expected, self.found = column, expected, found


@dataclass(frozen=True, slots=True)
class Column:
    """One input of a model."""

    name: str
    kind: Literal["number", "category"] = "number"
    categories: tuple[str, ...] = ()  # code = position; anything else is missing
    view: str = ""  # the feature view that supplies it; empty when the request does
    optional: bool = False  # whether a request may leave it out or null


@dataclass(frozen=True, slots=True)
class ViewRef:
    """The feature view as the gateway must know it to read it online."""

    name: str
    keys: tuple[str, ...]  # request fields, in order
    features: tuple[str, ...]
    ttl_us: int | None = None


@dataclass(frozen=True)
class Signature:
    """The inputs of a model in their order, and the views that supply some of them.

    A column of view `v` and feature `f` is named `v__f`.
    >>> s = Signature((Column("miles"), Column("carrier", "category", ("AA", "UA"))), target="late")
    >>> s.encode_row({"miles": 500, "carrier": "UA"})
    [500.0, 1.0]
    """

    columns: tuple[Column, ...]
    target: str
    views: tuple[ViewRef, ...] = field(default=())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names in model order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def request_columns(self) -> tuple[Column, ...]:
        """The columns that a request must carry."""
        return tuple(column for column in self.columns if not column.view)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Request fields that the views need as keys and that are no columns themselves."""
        own = {column.name for column in self.request_columns}
        needed = dict.fromkeys(key for view in self.views for key in view.keys)
        return tuple(key for key in needed if key not in own)

    @cached_property
    def _codes(self) -> tuple[dict[str, float] | None, ...]:
        return tuple(
            {name: float(code) for code, name in enumerate(c.categories)} if c.kind == "category" else None
            for c in self.columns
        )

    @cached_property
    def _plan(self) -> tuple[tuple[str, dict[str, float] | None, Column], ...]:
        return tuple(zip(self.names, self._codes, self.columns, strict=True))

    def encode_row(self, values: Mapping[str, Any]) -> list[float]:
        """One row as the model's numbers; view columns that are absent are missing. Raises: WrongInput."""
        row: list[float] = []
        get = values.get
        for name, codes, column in self._plan:
            value: Any = get(name)
            kind = type(value)
            if kind is float and codes is None and value - value == 0.0:  # finite: the usual case, no call
                row.append(value)
            elif kind is str and codes is not None:
                row.append(codes.get(value, MISSING))
            else:
                row.append(_number(column, codes, value))
        return row

    def encode_table(self, table: pa.Table) -> NDArray[np.float64]:
        """A table as the model's matrix, shape (rows, columns). Raises: WrongInput."""
        matrix = np.empty((table.num_rows, len(self.columns)), dtype=np.float64)
        for at, column in enumerate(self.columns):
            if column.name not in table.column_names:
                raise WrongInput(column.name, "in the table", f"only {', '.join(table.column_names)}")
            matrix[:, at] = _encoded(column, table[column.name])
        return matrix

    def decode_row(self, row: Sequence[float]) -> dict[str, float | str | None]:
        """The model's numbers by column, in words again: the inverse of `encode_row`; missing is None.

        >>> Signature((Column("carrier", "category", ("AA", "UA")),), "late").decode_row([1.0])
        {'carrier': 'UA'}
        """
        values: dict[str, float | str | None] = {}
        for column, number in zip(self.columns, row, strict=True):
            if math.isnan(number):
                values[column.name] = None
            else:
                values[column.name] = column.categories[int(number)] if column.kind == "category" else number
        return values

    def recode(self, matrix: NDArray[np.float64], to: Signature) -> NDArray[np.float64]:
        """A matrix of this signature as another's: columns by name, category codes by meaning.

        Shapes: (rows, columns) in, (rows, to's columns) out. Raises: WrongInput (a column only `to` has).
        """
        recoded = np.empty((len(matrix), len(to.columns)), dtype=np.float64)
        for at, column in enumerate(to.columns):
            if column.name not in self.names:
                raise WrongInput(column.name, "in the logged vector", f"only {', '.join(self.names)}")
            source = self.names.index(column.name)
            recoded[:, at] = _recoded(matrix[:, source], self.columns[source], column)
        return recoded

    def to_plain(self) -> dict[str, Any]:
        """The signature as JSON values."""
        columns = [
            {
                "name": c.name,
                "kind": c.kind,
                "categories": [*c.categories],
                "view": c.view,
                "optional": c.optional,
            }
            for c in self.columns
        ]
        views = [
            {"name": v.name, "keys": [*v.keys], "features": [*v.features], "ttl_us": v.ttl_us}
            for v in self.views
        ]
        return {"columns": columns, "target": self.target, "views": views}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Signature:
        """The inverse of `to_plain`."""
        columns = tuple(
            Column(c["name"], c["kind"], tuple(c["categories"]), c["view"], c["optional"])
            for c in plain["columns"]
        )
        views = tuple(
            ViewRef(v["name"], tuple(v["keys"]), tuple(v["features"]), v["ttl_us"]) for v in plain["views"]
        )
        return cls(columns, plain["target"], views)


def _recoded(codes: NDArray[np.float64], old: Column, new: Column) -> NDArray[np.float64]:
    if old.categories == new.categories:
        return codes
    meaning = {name: float(code) for code, name in enumerate(new.categories)}
    table = np.array([meaning.get(name, MISSING) for name in old.categories] + [MISSING])
    known = np.nan_to_num(codes, nan=len(old.categories)).astype(np.intp)
    moved: NDArray[np.float64] = table[known]
    return moved


def _number(column: Column, codes: dict[str, float] | None, value: object) -> float:
    """A value of a column as the model's number, by all the rules."""
    if value is None:
        if not column.view and not column.optional:
            raise WrongInput(column.name, f"a {column.kind}", "nothing")
        return MISSING
    if codes is not None:
        if not isinstance(value, str):
            raise WrongInput(column.name, "a text", repr(value)[:40])
        return codes.get(value, MISSING)
    if isinstance(value, bool | int | float):
        return _finite(column, float(value))
    raise WrongInput(column.name, "a number", repr(value)[:40])


def _finite(column: Column, value: float) -> float:
    if math.isfinite(value) or (math.isnan(value) and (column.view or column.optional)):
        return value
    raise WrongInput(column.name, "a finite number", str(value))


def _encoded(column: Column, values: pa.ChunkedArray) -> NDArray[np.float64]:
    if column.kind == "category":
        if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
            raise WrongInput(column.name, "text", str(values.type))
        codes = pc.index_in(values, pa.array(column.categories, values.type), skip_nulls=True)
        encoded: NDArray[np.float64] = pc.cast(codes, pa.float64()).to_numpy()
        return encoded
    if not any(is_kind(values.type) for is_kind in _NUMBERS):
        raise WrongInput(column.name, "numbers", str(values.type))
    # Unsafe, so that a whole number beyond 2**53 is rounded as `float` rounds it in a row.
    numbers: NDArray[np.float64] = pc.cast(values, pa.float64(), safe=False).to_numpy()
    return numbers


# Arrow would also parse numbers out of text, which no request may carry.
_NUMBERS = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_decimal,
    pa.types.is_null,
)


def infer_signature(
    table: pa.Table, target: str, *, columns: tuple[str, ...], views: tuple[ViewRef, ...] = ()
) -> Signature:
    """The signature of `columns` of a training table: text becomes categories, the rest numbers.

    Columns named `view__feature` of the given views come from the online store, the rest from the request.
    Request columns that hold a null in the training table may be left out of a request.
    """
    supplied = {f"{view.name}__{feature}": view.name for view in views for feature in view.features}
    found = []
    for name in columns:
        values = table[name]
        is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
        known = tuple(sorted(v for v in pc.unique(values).to_pylist() if v is not None)) if is_text else ()
        kind: Literal["number", "category"] = "category" if is_text else "number"
        found.append(Column(name, kind, known, supplied.get(name, ""), optional=values.null_count > 0))
    return Signature(tuple(found), target, views)
