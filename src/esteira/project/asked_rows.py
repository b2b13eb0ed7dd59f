"""Rows to ask a model when it is measured: what it was asked before, and else what it may be asked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError
from esteira.features.keys import key_texts
from esteira.project.converting import recorded_rows
from esteira.project.watch import REFERENCE, reference_of
from esteira.serving.load.rows import Field, drawn_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.project.station import Station
    from esteira.registry.signature import Signature
    from esteira.serving.load.rows import Row

_KEYS = 500  # entities that requests are about
_LOOKED_AT = 4096  # rows of a view's table that are looked at for them


def fields_asked(signature: Signature) -> tuple[Field, ...]:
    """The fields of a request: the request columns in order, then the keys of the views.

    >>> from esteira.registry.signature import Column, Signature
    >>> [field.name for field in fields_asked(Signature((Column("miles"),), "late"))]
    ['miles']
    """
    columns = (
        Field(each.name, "FP64" if each.kind == "number" else "BYTES") for each in signature.request_columns
    )
    return (*columns, *(Field(key, "BYTES") for key in signature.keys))


def asked_rows(
    station: Station, version: int, signature: Signature, fields: Sequence[Field], count: int
) -> tuple[tuple[Field, ...], list[Row], int]:
    """The fields with what they may be, `count` rows of them, and how many of the rows were recorded.

    The recorded ones come from the prediction log, newest first, and again if they are too few; what the log
    does not hold, such as keys, is drawn.
    """
    fields = tuple(_known(field, signature, station) for field in fields)
    fields = _ranged(fields, station, version)
    logged: list[Row] = []
    with suppress(EsteiraError):  # nothing recorded that this version could be asked
        logged = _logged(station, version, signature, count)
    rows: list[Row] = [
        {**row, **(logged[at % len(logged)] if logged else {})}
        for at, row in enumerate(drawn_rows(fields, count))
    ]
    return fields, rows, min(len(logged), count)


def _known(field: Field, signature: Signature, station: Station) -> Field:
    """A field with the texts that it may be: the categories of a column, the keys of a view."""
    for column in signature.request_columns:
        if column.name == field.name and column.categories:
            return replace(field, choices=column.categories)
    if field.name in signature.keys:
        with suppress(EsteiraError):
            return replace(field, choices=_keys(field.name, signature, station))
    return field


def _keys(name: str, signature: Signature, station: Station) -> tuple[str, ...]:
    """Some entities that a view knows, from the table that it is made of."""
    wanted = {view.name for view in signature.views if name in view.keys}
    for view in station.project.views:
        if view.qualified in wanted:
            for rows in station.tables.scan(view.source, columns=[name], size=_LOOKED_AT):
                (texts,) = key_texts(rows, [name], view.source)
                found = dict.fromkeys(text for text in texts.to_pylist() if text is not None)
                return tuple(found)[:_KEYS]
    return ()


def _ranged(fields: Sequence[Field], station: Station, version: int) -> tuple[Field, ...]:
    """Numbers between the edges of the training data, where its reference was kept."""
    with suppress(EsteiraError, KeyError):
        registered = station.version(version)
        if REFERENCE in registered.tags:
            edges = {bins.column: bins.edges for bins in reference_of(station, registered).bins if bins.edges}
            return tuple(
                replace(each, low=edges[each.name][0], high=edges[each.name][-1])
                if each.name in edges
                else each
                for each in fields
            )
    return tuple(fields)


def _logged(station: Station, version: int, signature: Signature, most: int) -> list[Row]:
    """What was asked of the model, as the prediction log has it: the request's own columns."""
    names = {column.name for column in signature.request_columns}
    decoded = [signature.decode_row(vector) for vector in recorded_rows(station, version, most).tolist()]
    needed = {column.name for column in signature.request_columns if not column.optional}
    rows = [{name: value for name, value in row.items() if name in names} for row in decoded]
    return [row for row in rows if all(row.get(name) is not None for name in needed & row.keys())]
