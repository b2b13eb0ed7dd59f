"""What a model asks for and in which order: the contract that training and serving share.

One `Signature` turns a table (training) and a request (serving) into the same numbers, to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow.compute as pc

from esteira.registry.columns import (
    MISSING,
    Column,
    WrongInput,
    column_in,
    is_text,
    number_of,
    numbers_in,
    text_of,
    texts_in,
)
from esteira.registry.derived import Derived

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ViewRef:
    """The feature view as the gateway must know it to read it online."""

    name: str
    keys: tuple[str, ...]  # request fields, in order
    features: tuple[str, ...]
    ttl_us: int | None = None


@dataclass(frozen=True)
class Signature:
    """The inputs of a model in their order, and the views and transforms that supply some of them.

    A column of view `v` and feature `f` is named `v__f`, and so is output `f` of transform `v`. What only
    transforms ask for stands in `inputs`; a text there has no categories, for it never becomes a number.

    Raises: WrongInput (a transform's column or input that nothing supplies).
    >>> s = Signature((Column("miles"), Column("carrier", "category", ("AA", "UA"))), target="late")
    >>> s.encode_row({"miles": 500, "carrier": "UA"})
    [500.0, 1.0]
    """

    columns: tuple[Column, ...]
    target: str
    views: tuple[ViewRef, ...] = field(default=())
    derived: tuple[Derived, ...] = ()
    inputs: tuple[Column, ...] = ()

    def __post_init__(self) -> None:
        computed = {name for each in self.derived for name in each.columns}
        for column in self.columns:
            if column.transform and column.name not in computed:
                raise WrongInput(column.name, f"an output of {column.transform!r}", "no such transform")
        held = {column.name for column in (*self.columns, *self.inputs) if not column.transform}
        for name in (name for each in self.derived for name, _ in each.expression.inputs):
            if name not in held:
                raise WrongInput(name, "a column or an input that no transform computes", "neither")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names in model order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def request_columns(self) -> tuple[Column, ...]:
        """What a request must carry, for the model and for its transforms."""
        return tuple(column for column in (*self.columns, *self.inputs) if column.is_requested)

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

    @cached_property
    def _transforms(self) -> tuple[tuple[Derived, tuple[tuple[Column, bool], ...]], ...]:
        """Each transform with the columns that it reads, and whether as text."""
        held = {column.name: column for column in (*self.columns, *self.inputs)}
        return tuple(
            (each, tuple((held[name], kind == "text") for name, kind in each.expression.inputs))
            for each in self.derived
        )

    def encode_row(self, values: Mapping[str, Any]) -> list[float]:
        """One row as the model's numbers; view columns that are absent are missing. Raises: WrongInput."""
        if self.derived:
            values = {**values, **self._derived_row(values)}
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
                row.append(number_of(column, codes, value))
        return row

    def _derived_row(self, values: Mapping[str, Any]) -> dict[str, float]:
        found: dict[str, float] = {}
        get = values.get
        for derived, plan in self._transforms:
            given = [
                text_of(column, get(column.name)) if reads_text else number_of(column, None, get(column.name))
                for column, reads_text in plan
            ]
            found.update(zip(derived.columns, derived.expression.row(given), strict=True))
        return found

    def encode_table(self, table: pa.Table) -> NDArray[np.float64]:
        """A table as the model's matrix, shape (rows, columns).

        What transforms compute is computed anew from their inputs, whatever the table says of it.
        Raises: WrongInput.
        """
        matrix = np.empty((table.num_rows, len(self.columns)), dtype=np.float64)
        computed = {name: made for each in self.derived for name, made in derive(table, each).items()}
        for at, column in enumerate(self.columns):
            made = computed.get(column.name)
            matrix[:, at] = numbers_in(table, column) if made is None else made
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

        Shapes: (rows, columns) in, (rows, to's columns) out. Raises: WrongInput (a column that only `to` has,
        or that is a number in one and a category in the other).
        """
        recoded = np.empty((len(matrix), len(to.columns)), dtype=np.float64)
        for at, column in enumerate(to.columns):
            if column.name not in self.names:
                raise WrongInput(column.name, "in the logged vector", f"only {', '.join(self.names)}")
            source = self.names.index(column.name)
            if (kind := self.columns[source].kind) != column.kind:
                raise WrongInput(column.name, f"a {column.kind} in the logged vector too", f"a {kind}")
            recoded[:, at] = _recoded(matrix[:, source], self.columns[source], column)
        return recoded

    def to_plain(self) -> dict[str, Any]:
        """The signature as JSON values."""
        views = [
            {"name": v.name, "keys": [*v.keys], "features": [*v.features], "ttl_us": v.ttl_us}
            for v in self.views
        ]
        plain = {"columns": _plain(self.columns), "target": self.target, "views": views}
        if self.derived:  # else the digests of models without transforms would change
            plain |= {"derived": [each.to_plain() for each in self.derived], "inputs": _plain(self.inputs)}
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Signature:
        """The inverse of `to_plain`, of which every value must have its type.

        Raises: msgspec.ValidationError, KeyError, CorruptArtifact (a transform), UnknownName, WrongInput.
        """
        return cls(
            msgspec.convert(plain["columns"], tuple[Column, ...]),
            msgspec.convert(plain["target"], str),
            msgspec.convert(plain["views"], tuple[ViewRef, ...]),
            tuple(map(Derived.from_plain, plain.get("derived", ()))),
            msgspec.convert(plain.get("inputs", ()), tuple[Column, ...]),
        )


def _plain(columns: Sequence[Column]) -> list[dict[str, Any]]:
    return [
        {
            "name": c.name,
            "kind": c.kind,
            "categories": [*c.categories],
            "view": c.view,
            "optional": c.optional,
            **({"transform": c.transform} if c.transform else {}),
        }
        for c in columns
    ]


def _recoded(codes: NDArray[np.float64], old: Column, new: Column) -> NDArray[np.float64]:
    if old.categories == new.categories:
        return codes
    meaning = {name: float(code) for code, name in enumerate(new.categories)}
    table = np.array([meaning.get(name, MISSING) for name in old.categories] + [MISSING])
    known = np.nan_to_num(codes, nan=len(old.categories)).astype(np.intp)
    moved: NDArray[np.float64] = table[known]
    return moved


def derive(table: pa.Table, derived: Derived) -> dict[str, NDArray[np.float64]]:
    """The outputs of a transform, by column name, for a table that holds its inputs.

    Shapes: (rows,) each; missing is NaN. Raises: WrongInput.
    """
    given = [
        texts_in(table, name) if kind == "text" else numbers_in(table, Column(name))
        for name, kind in derived.expression.inputs
    ]
    return dict(zip(derived.columns, derived.expression.columns(given, table.num_rows), strict=True))


def infer_signature(
    table: pa.Table,
    target: str,
    *,
    columns: tuple[str, ...],
    views: tuple[ViewRef, ...] = (),
    on_demand: tuple[Derived, ...] = (),
) -> Signature:
    """The signature of `columns` of a training table: text becomes categories, the rest numbers.

    Columns named `view__feature` of the given views come from the online store, those named
    `transform__output` are computed from what the transform asks for, the rest come from the request.
    Request columns that hold a null in the training table may be left out of a request.

    Raises: WrongInput (a column that is not in the table, that two views or transforms supply, or that one
    transform would read from another).
    """
    supplied = {f"{view.name}__{feature}": view.name for view in views for feature in view.features}
    computed = _computed(on_demand, supplied)
    derived = tuple(each.only(columns) for each in on_demand if {*each.columns} & {*columns})
    own = tuple(
        Column(name, transform=computed[name]) if name in computed else _found(table, name, supplied)
        for name in columns
    )
    inputs: dict[str, Column] = {}
    for name, _ in (asked for each in derived for asked in each.expression.inputs):
        if name in computed:
            raise WrongInput(name, "of the request or a view, as a transform's input", "another's output")
        if name not in columns:
            inputs[name] = replace(_found(table, name, supplied), categories=())
    return Signature(own, target, views, derived, tuple(inputs.values()))


def _computed(on_demand: Iterable[Derived], supplied: Mapping[str, str]) -> dict[str, str]:
    """The transform of each column that one computes."""
    computed: dict[str, str] = {}
    for each in on_demand:
        for name in each.columns:
            if name in supplied or name in computed:
                raise WrongInput(name, "of one view or transform; rename one of them", "two")
            computed[name] = each.name
    return computed


def _found(table: pa.Table, name: str, supplied: Mapping[str, str]) -> Column:
    values = column_in(table, name)
    view, may_lack = supplied.get(name, ""), values.null_count > 0
    if not is_text(values.type):
        return Column(name, "number", view=view, optional=may_lack)
    known = tuple(sorted(v for v in pc.unique(values).to_pylist() if v is not None))
    return Column(name, "category", known, view, optional=may_lack)
