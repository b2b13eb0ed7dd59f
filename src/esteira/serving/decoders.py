"""Typed decoders compiled from a signature: the JSON of a request becomes numbers in one reading.

They take what is right and usual and pass over the rest, for which the general way has the exact words.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from esteira.registry.columns import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from esteira.registry.columns import Column
    from esteira.registry.signature import Signature

    Cells = Sequence[Any]
    ToNumbers = Callable[[Cells], list[float]]
    Form = Any  # a type form, such as str | None
    Made = Any  # of a struct that is made here

_ALL_BUT_ONE = 3  # of the four formats of a body
_UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


class RowDecoder:
    """Reads the bodies of MLflow's scoring protocol for one version of a model.

    >>> from esteira.registry.signature import Column, Signature
    >>> decoder = RowDecoder(Signature((Column("miles"), Column("carrier", "category", ("AA",))), "late"))
    >>> decoder.numbers(b'{"instances": [{"miles": 500, "carrier": "AA"}]}')
    [[500.0, 0.0]]
    """

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self.fields = (*(column.name for column in signature.request_columns), *signature.keys)
        self._names = [*self.fields]
        # Without views and transforms a request brings the model's columns, all of them and in their order.
        self.is_direct = bool(signature.columns) and not signature.views and not signature.derived

    def numbers(self, body: bytes) -> list[list[float]] | None:
        """The model's rows, when the request brings all there is to know; None: ask the general way."""
        if not self.is_direct:
            return None
        cells, to_numbers = self._cells(body), self._to_numbers
        return cells if cells is None or to_numbers is None else [to_numbers(each) for each in cells]

    def values(self, body: bytes) -> list[dict[str, Any]] | None:
        """The rows by name, each value of its type; None: ask the general way."""
        cells = self._cells(body) if self.fields else None
        if cells is None:
            return None
        return [dict(zip(self.fields, each, strict=True)) for each in cells]

    def _cells(self, body: bytes) -> list[Any] | None:
        if not self._is_nameable:
            return None
        try:
            asked = self._decoder.decode(body)
        except _UNREADABLE:
            return None
        split, records, instances, inputs = (
            asked.dataframe_split,
            asked.dataframe_records,
            asked.instances,
            asked.inputs,
        )
        if (split is UNSET) + (records is UNSET) + (instances is UNSET) + (inputs is UNSET) != _ALL_BUT_ONE:
            return None
        if split is not UNSET:
            return self._of_split(split)
        rows = records if records is not UNSET else instances if instances is not UNSET else inputs
        return self._of_rows(rows)

    def _of_split(self, split: Made) -> list[Any] | None:
        if split.columns != self._names:
            return None
        rows: list[Cells] = split.data
        return None if split.index is not None and len(split.index) != len(rows) else rows

    def _of_rows(self, rows: Made) -> list[Any] | None:
        if isinstance(rows, dict) or len({*map(type, rows)}) > 1:
            return None
        if rows and isinstance(rows[0], msgspec.Struct):
            return [[*msgspec.structs.astuple(each)] for each in rows]
        cells: list[Any] = rows
        return cells

    @cached_property
    def _is_nameable(self) -> bool:
        """Whether msgspec can look for every field: it compares names as they stand in the JSON."""
        return all(name.isprintable() and not {*name} & {'"', "\\"} for name in self.fields)

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Any]:
        # A key of a view keeps the type that it came with: the views' own rules say what it may be.
        keys = {key for view in self._signature.views for key in view.keys}
        types = [Any if c.name in keys else _type_of(c) for c in self._signature.request_columns]
        types += [Any] * len(self._signature.keys)
        is_matrix = len(types) > 1 and set(types) == {float}
        positional: Any = tuple[tuple(types)]  # type: ignore[misc] # mypy does not follow a type made at run time
        if is_matrix:  # the rows are as the model takes them
            positional = Annotated[list[float], Meta(min_length=len(types), max_length=len(types))]
        names = {f"c{place}": name for place, name in enumerate(self.fields)}
        fields: list[Any] = [
            (name, kind, None) if _may_lack(kind) else (name, kind)
            for name, kind in zip(names, types, strict=True)
        ]
        row = msgspec.defstruct(
            "Row", fields, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False
        )
        split = msgspec.defstruct(
            "Split",
            [
                ("data", list[positional]),
                ("columns", list[str] | None, None),
                ("index", list[Any] | None, None),
            ],
            forbid_unknown_fields=True,
        )
        # Rows without names have one reading where all columns are numbers: the order of the signature.
        rows: Any = list[row | positional] if is_matrix else list[row]  # type: ignore[valid-type] # mypy does not follow a type made at run time
        body: list[Any] = [
            ("dataframe_split", split | UnsetType, UNSET),
            ("dataframe_records", list[row] | UnsetType, UNSET),  # type: ignore[valid-type] # mypy does not follow a type made at run time
            ("instances", rows | UnsetType, UNSET),
            ("inputs", rows | dict[str, Any] | UnsetType, UNSET),
            ("params", dict[str, Any] | None, None),
        ]
        return msgspec.json.Decoder(msgspec.defstruct("Invocation", body, forbid_unknown_fields=True))

    @cached_property
    def _to_numbers(self) -> ToNumbers | None:
        """What makes a row of what was read the model's; None where it is that already."""
        columns = self._signature.columns
        if all(column.kind == "number" and not column.optional for column in columns):
            return list if len(columns) == 1 else None
        codes = [
            {name: float(code) for code, name in enumerate(c.categories)} if c.kind == "category" else None
            for c in columns
        ]

        def to_numbers(cells: Cells) -> list[float]:
            return [
                MISSING if cell is None else cell if known is None else known.get(cell, MISSING)
                for cell, known in zip(cells, codes, strict=True)
            ]

        return to_numbers


def _type_of(column: Column) -> Form:
    kind: Any = str if column.kind == "category" else float
    return kind | None if column.optional else kind


def _may_lack(kind: Form) -> bool:
    return kind not in {str, float, Any}
