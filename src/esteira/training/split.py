"""Parting rows in time: a model is judged on what came after everything it learnt from."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from datetime import datetime

_NONE = timedelta(0)


def time_split(
    table: pa.Table, at: str, holdout: timedelta, gap: timedelta = _NONE
) -> tuple[pa.Table, pa.Table]:
    """The rows before the last `holdout` of time, and the rows in it; both keep their order.

    The holdout starts `holdout` before the latest row, exclusive. Rows less than `gap` before its start are
    in neither part: with labels that come late, they would not have been known yet.
    Raises: UnknownName (no column `at`), BadInput (no times, a missing time, or an empty part).
    >>> from datetime import UTC, datetime
    >>> days = pa.array([datetime(2013, 1, d, tzinfo=UTC) for d in (1, 2, 3, 4)])
    >>> past, newest = time_split(pa.table({"asked_at": days}), "asked_at", timedelta(days=1))
    >>> past.num_rows, newest.num_rows
    (3, 1)
    """
    if holdout <= _NONE or gap < _NONE:
        raise BadInput(
            f"a holdout must be longer than nothing and a gap not negative, found {holdout}, {gap}"
        )
    times = _times(table, at)
    start: datetime = pc.max(times).as_py() - holdout
    newest = table.filter(pc.greater(times, pa.scalar(start, times.type)))
    past = table.filter(pc.less_equal(times, pa.scalar(start - gap, times.type)))
    if past.num_rows == 0:
        raise BadInput(
            f"no row of {at!r} is older than {start - gap}; shorten the holdout or the gap, or add rows"
        )
    return past, newest


def _times(table: pa.Table, at: str) -> pa.ChunkedArray:
    if at not in table.column_names:
        raise UnknownName("column", at, table.column_names)
    times = table[at]
    if not pa.types.is_timestamp(times.type) or times.type.tz is None:
        raise BadInput(f"column {at!r} must hold times with zone, found {times.type}")
    if times.null_count or table.num_rows == 0:
        raise BadInput(
            f"column {at!r} holds {times.null_count} missing times in {table.num_rows} rows; drop them"
        )
    return times
