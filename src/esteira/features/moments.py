"""The times of a view's rows: when each became available, and which of two rows is the newer truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput
from esteira.features.times import column_of, micros, nullable_micros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.features.views import BoundView

SEQUENCE = "_seq"  # an optional int64 column: the place of a row in its whole table, when `rows` is a part
NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Moments:
    """Arrays of shape (rows,), in microseconds; `order` holds positions, the newer truth later."""

    event: NDArray[np.int64]
    created: NDArray[np.int64]  # the event time in a view without created time
    available: NDArray[np.int64]
    known: NDArray[np.bool_]  # false where the created time is null
    sequence: NDArray[np.int64]
    order: NDArray[np.int64]


def read_moments(bound: BoundView, *, as_known: bool = True) -> Moments:
    """The times of the rows of a view. Raises: UnknownName, NaiveTime, NotATime, NullTime, BadInput."""
    view, rows = bound.view, bound.rows
    what = f"view {view.name!r}"
    event = micros(rows, view.event_time, what)
    created, known = event, np.ones(rows.num_rows, np.bool_)
    if view.created_time is not None:
        nullable = nullable_micros(rows, view.created_time, what)
        known = np.asarray(nullable.is_valid())
        created = pc.fill_null(nullable, NEVER).to_numpy()
    sequence = _sequence(bound)
    order = _order(event, created, sequence)
    available = np.maximum(event, created) if as_known else event
    return Moments(event, created, available, known, sequence, order)


def _sequence(bound: BoundView) -> NDArray[np.int64]:
    rows, what = bound.rows, f"view {bound.view.name!r}"
    if SEQUENCE not in rows.column_names:
        return np.arange(rows.num_rows, dtype=np.int64)
    values = column_of(rows, SEQUENCE, what)
    if values.null_count or not pa.types.is_int64(values.type):
        raise BadInput(f"column {SEQUENCE!r} of {what} must be int64 without nulls; leave it out or fill it")
    sequence: NDArray[np.int64] = values.to_numpy()
    return sequence


def _order(
    event: NDArray[np.int64], created: NDArray[np.int64], sequence: NDArray[np.int64]
) -> NDArray[np.int64]:
    if _is_sorted(event, created, sequence):
        return np.arange(len(event))
    return np.lexsort((sequence, created, event))


def _is_sorted(*ranks: NDArray[np.int64]) -> bool:
    """Whether rows stand in the order of the first rank, then the second, and so on."""
    ahead = np.zeros(max(len(ranks[0]) - 1, 0), np.bool_)
    for rank in ranks:  # wherever no earlier rank has decided
        if np.any(~ahead & (rank[1:] < rank[:-1])):
            return False
        ahead |= rank[1:] > rank[:-1]
    return True
