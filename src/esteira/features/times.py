"""Times of a table as whole microseconds since 1970 in UTC, and the places of rows; nothing is guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput, NaiveTime, UnknownName
from esteira.data.tables.port import SEQUENCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

UTC_MICROS = pa.timestamp("us", "UTC")


class NotATime(BadInput):
    """A column that should hold moments and does not: no timestamp, or one finer than a microsecond."""

    def __init__(self, column: str, found: str, mend: str) -> None:
        super().__init__(f"{column} must hold timestamps in whole microseconds, found {found}; {mend}")
        self.column, self.found = column, found


class NullTime(BadInput):
    """A row without a time, of which nobody can say what was known by then."""

    def __init__(self, column: str, rows: int) -> None:
        super().__init__(f"{column} is null in {rows} rows; give them a time or drop them")
        self.column, self.rows = column, rows


def column_of(table: pa.Table, name: str, what: str) -> pa.ChunkedArray:
    """The one column of that name. Raises: UnknownName (none), BadInput (several)."""
    found = table.column_names.count(name)
    if found == 0:
        raise UnknownName(f"column of {what}", name, table.column_names)
    if found > 1:
        raise BadInput(f"{what} has {found} columns named {name!r}; rename all but one")
    return table.column(name)


def nullable_micros(table: pa.Table, name: str, what: str) -> pa.ChunkedArray:
    """A column of moments as int64 microseconds in UTC, nulls kept.

    Raises: UnknownName, NaiveTime, NotATime.
    """
    values = column_of(table, name, what)
    title = f"column {name!r} of {what}"
    if not pa.types.is_timestamp(values.type):
        raise NotATime(title, str(values.type), "cast it to timestamp[us, UTC]")
    if values.type.tz is None:
        raise NaiveTime(title)
    try:
        return pc.cast(pc.cast(values, UTC_MICROS), pa.int64())
    except pa.ArrowInvalid as lossy:
        raise NotATime(title, str(values.type), "round or floor it yourself, e.g. to 'us'") from lossy


def micros(table: pa.Table, name: str, what: str) -> NDArray[np.int64]:
    """A column of moments as int64 microseconds in UTC, shape (rows,).

    Raises: UnknownName, NaiveTime, NotATime, NullTime.
    >>> from datetime import datetime, UTC
    >>> micros(pa.table({"at": [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)]}), "at", "the spine").tolist()
    [1000000]
    """
    values = nullable_micros(table, name, what)
    if values.null_count:
        raise NullTime(f"column {name!r} of {what}", values.null_count)
    found: NDArray[np.int64] = values.to_numpy()
    return found


def sequence_of(table: pa.Table, what: str, since: int = 0) -> NDArray[np.int64]:
    """The place of each row in its whole table: its `_seq`, else its place here, counted from `since`.

    Shape: (rows,). Raises: BadInput (a `_seq` that is not int64, or null somewhere).
    >>> sequence_of(pa.table({"k": ["a", "b"]}), "events", since=5).tolist()
    [5, 6]
    """
    if SEQUENCE not in table.column_names:
        return np.arange(since, since + table.num_rows, dtype=np.int64)
    values = column_of(table, SEQUENCE, what)
    if values.null_count or not pa.types.is_int64(values.type):
        raise BadInput(f"column {SEQUENCE!r} of {what} must be int64 without nulls; leave it out or fill it")
    sequence: NDArray[np.int64] = values.to_numpy()
    return sequence
