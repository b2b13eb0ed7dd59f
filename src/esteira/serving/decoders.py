"""Typed decoders compiled from a signature: the JSON of a request becomes numbers in one reading.

They take what is right and usual and pass over the rest, for which the general way has the exact words.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from esteira.registry.columns import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.registry.signature import Signature

    Cells = tuple[Any, ...]
    ToNumbers = Callable[[Cells], list[float]]

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
        # Without views and transforms a request brings the model's columns, all of them and in their order.
        self.is_direct = bool(signature.columns) and not signature.views and not signature.derived

    def numbers(self, body: bytes) -> list[list[float]] | None:
        """The model's rows, when the request brings all there is to know; None: ask the general way."""
        if not self.is_direct:
            return None
        cells = self._cells(body)
        return None if cells is None else [self._to_numbers(each) for each in cells]

    def values(self, body: bytes) -> list[dict[str, Any]] | None:
        """The rows by name, each value of its type; None: ask the general way."""
        cells = self._cells(body) if self.fields else None
        if cells is None:
            return None
        return [dict(zip(self.fields, each, strict=True)) for each in cells]

    def _cells(self, body: bytes) -> list[Cells] | None:
        if not self._is_nameable:
            return None
        try:
            asked = self._decoder.decode(body)
        except _UNREADABLE:
            return None
        split, records = asked.dataframe_split, asked.dataframe_records
        given = [each for each in (split, records, asked.instances, asked.inputs) if each is not UNSET]
        if len(given) != 1 or isinstance(given[0], dict):
            return None
        if split is not UNSET:
            return self._of_split(split)
        return [each if type(each) is tuple else msgspec.structs.astuple(each) for each in given[0]]

    def _of_split(self, split: Any) -> list[Cells] | None:  # noqa: ANN401 - a struct made below
        if split.columns is None or tuple(split.columns) != self.fields:
            return None
        rows: list[Cells] = split.data
        return None if split.index is not None and len(split.index) != len(rows) else rows

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
        positional: Any = tuple[tuple(types)]  # type: ignore[misc] # made here
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
        is_matrix = len(types) > 1 and set(types) == {float}
        rows: Any = list[row | positional] if is_matrix else list[row]  # type: ignore[valid-type] # made here
        body: list[Any] = [
            ("dataframe_split", split | UnsetType, UNSET),
            ("dataframe_records", list[row] | UnsetType, UNSET),  # type: ignore[valid-type] # made here
            ("instances", rows | UnsetType, UNSET),
            ("inputs", rows | dict[str, Any] | UnsetType, UNSET),
            ("params", dict[str, Any] | None, None),
        ]
        return msgspec.json.Decoder(msgspec.defstruct("Invocation", body, forbid_unknown_fields=True))

    @cached_property
    def _to_numbers(self) -> ToNumbers:
        columns = self._signature.columns
        if all(column.kind == "number" and not column.optional for column in columns):
            return list
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


def _type_of(column: Any) -> Any:  # noqa: ANN401 - a type form
    kind: Any = str if column.kind == "category" else float
    return kind | None if column.optional else kind


def _may_lack(kind: Any) -> bool:  # noqa: ANN401 - a type form
    return kind not in {str, float, Any}
