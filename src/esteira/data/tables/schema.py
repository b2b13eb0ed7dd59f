"""Which types tables keep, and what a change of schema is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from esteira.base.errors import BadInput, NaiveTime
from esteira.data.tables.port import SEQUENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIME = pa.timestamp("us", tz="UTC")


class SchemaChanged(BadInput):
    """Columns that are not those of the table; it names every one that differs."""

    def __init__(
        self,
        table: str,
        missing: Sequence[str],
        extra: Sequence[str],
        changed: Mapping[str, tuple[str, str]],
        mend: str = "send the columns of the table, declare new ones, or begin a table with another name",
    ) -> None:
        said = [f"{name} is missing" for name in missing]
        said += [f"{name} is new" for name in extra]
        said += [f"{name} is {found}, expected {expected}" for name, (expected, found) in changed.items()]
        super().__init__(f"the schema of table {table!r} changed: {', '.join(said)}; {mend}")
        self.table, self.missing, self.extra, self.changed = table, missing, extra, changed


def storable(rows: pa.Table) -> pa.Table:
    """The rows in types that tables keep: times as timestamp[us, UTC], one kind of text, nothing lost.

    Raises: BadInput (a type that cannot be kept, two columns of one name, `_seq`), NaiveTime.
    >>> storable(pa.table({"carrier": pa.array(["UA", "UA"]).dictionary_encode()})).schema.types
    [DataType(string)]
    """
    names = [name.casefold() for name in rows.column_names]
    if SEQUENCE in names:
        raise BadInput(f"column {SEQUENCE} is kept for the positions of rows; rename it")
    doubled = sorted({name for name in rows.column_names if names.count(name.casefold()) > 1})
    if doubled:
        raise BadInput(f"columns {', '.join(doubled)} have one name but for case; rename all but one")
    kept = pa.schema([pa.field(field.name, _kept(field.type, field.name)) for field in rows.schema])
    if rows.schema.equals(kept, check_metadata=True):
        return rows
    try:
        return rows.replace_schema_metadata(None).cast(kept)
    except pa.ArrowInvalid as lossy:
        raise BadInput(f"rows lose something as {TIME}: {lossy}; round them first") from lossy


def conform(rows: pa.Table, schema: pa.Schema, table: str) -> pa.Table:
    """The storable rows with the table's columns in the table's order; an all-null column takes its type.

    Raises: SchemaChanged.
    """
    if rows.schema.equals(schema):
        return rows
    missing = [name for name in schema.names if name not in rows.column_names]
    extra = [name for name in rows.column_names if name not in schema.names]
    changed = {
        field.name: (str(field.type), str(rows.schema.field(field.name).type))
        for field in schema
        if field.name not in missing and not _fits(rows.schema.field(field.name).type, field.type)
    }
    if missing or extra or changed:
        raise SchemaChanged(table, missing, extra, changed)
    return rows.select(schema.names).cast(schema)


def evolved(schema: pa.Schema, declared: pa.Schema, table: str) -> pa.Schema:
    """A table's schema with the columns that are declared beside its own, after them.

    Raises: SchemaChanged (a column removed or of another type), BadInput (a new one that cannot be).
    >>> one = pa.schema({"miles": pa.int64()})
    >>> evolved(one, pa.schema({"gate": pa.large_string(), "miles": pa.int64()}), "flights").names
    ['miles', 'gate']
    """
    rows = storable(declared.empty_table())
    refuse_untyped(rows, table)
    missing = [name for name in schema.names if name not in declared.names]
    changed = {
        field.name: (str(field.type), str(rows.schema.field(field.name).type))
        for field in schema
        if field.name not in missing and rows.schema.field(field.name).type != field.type
    }
    if missing or changed:
        mend = "keep them and declare a new column, or begin a table with another name"
        raise SchemaChanged(table, missing, [], changed, mend)
    added = [field for field in rows.schema if field.name not in schema.names]
    strict = [field.name for field in added if not declared.field(field.name).nullable]
    if strict:
        raise BadInput(
            f"table {table!r} cannot promise that {', '.join(strict)} is never null, as rows without it may "
            "have come before; declare it nullable and check it with NotNull"
        )
    return pa.schema([*schema, *added])


def refuse_untyped(rows: pa.Table, table: str) -> None:
    """A column of nulls only needs a type to begin with. Raises: BadInput."""
    untyped = [field.name for field in rows.schema if _is_untyped(field.type)]
    if untyped:
        raise BadInput(
            f"table {table!r} cannot have untyped columns: {', '.join(untyped)}; "
            "give them a type, e.g. pa.nulls(n, pa.float64())"
        )


def _is_untyped(kind: pa.DataType) -> bool:
    return bool(pa.types.is_null(kind) or (pa.types.is_list(kind) and _is_untyped(kind.value_type)))


def _fits(found: pa.DataType, expected: pa.DataType) -> bool:
    if pa.types.is_list(found) and pa.types.is_list(expected):
        return _fits(found.value_type, expected.value_type)
    return bool(found == expected or pa.types.is_null(found))


_SAME = {
    pa.null(),
    pa.bool_(),
    pa.int8(),
    pa.int16(),
    pa.int32(),
    pa.int64(),
    pa.float32(),
    pa.float64(),
    pa.string(),
    pa.binary(),
    pa.date32(),
    TIME,
}
_WIDENED = {
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
}


def _kept(kind: pa.DataType, column: str) -> pa.DataType:
    if kind in _SAME or pa.types.is_decimal128(kind):
        return kind
    if kind in _WIDENED:
        return _WIDENED[kind]
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            raise NaiveTime(f"column {column}")
        return TIME
    if pa.types.is_dictionary(kind):
        return _kept(kind.value_type, column)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(pa.field("element", _kept(kind.value_type, column)))
    raise BadInput(f"column {column} is {kind}, which tables do not keep; cast it, e.g. to int64 or float64")
