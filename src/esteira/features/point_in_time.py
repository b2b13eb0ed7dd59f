"""The point-in-time join: what was known about each entity at the moment of the question, and no more.

For a question at T a row of a view counts when its keys are equal, its event time is at most T, and it was
created by T. Of those the greatest (event time, created time, place in its table) answers; only then is it
asked whether the answer still holds (TTL). Every question gets exactly one row back, in its order.

The plan is made here over whole numbers: keys become codes, rows stand in the order in which they beat each
other, and a row is available at max(event time, created time). The engine only has to find the last row
that was available, which is exact: the order of rows does not depend on the question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from esteira.base.errors import BadInput
from esteira.features.engines import open_engine
from esteira.features.keys import match_keys
from esteira.features.moments import read_moments
from esteira.features.times import column_of, micros

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from esteira.features.engines.port import JoinEngine
    from esteira.features.views import BoundView

PRESENT, MISSING, EXPIRED = "present", "missing", "expired"


class ClashingNames(BadInput):
    """Two columns of the result would have the same name."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = sorted(set(names))
        super().__init__(
            f"the result would have several columns named {', '.join(self.names)}; "
            "rename the spine's column, or give one of the views another name"
        )


def point_in_time_join(
    spine: pa.Table,
    views: Sequence[BoundView],
    *,
    at: str,
    as_known: bool = True,
    with_status: bool = False,
    engine: str = "duckdb:",
) -> pa.Table:
    """The spine with the features of each view as they stood at the time in column `at`.

    Adds a column `view__feature` for every feature, null when there is no row or it holds null, and with
    `with_status` a column `view__status`: present, missing or expired. `as_known=False` also lets rows
    answer that were created after the question; use it to study, never to train.

    Raises: UnknownName (a column), NaiveTime, NotATime, NullTime, WrongKey, ClashingNames, MissingExtra.
    >>> from datetime import UTC, datetime
    >>> from esteira.features.views import BoundView, FeatureView
    >>> view = FeatureView("weather", ("origin",), ("visib",), "weather", event_time="hour")
    >>> rows = pa.table({"origin": ["JFK", "JFK"], "visib": [10.0, 0.5],
    ...     "hour": [datetime(2013, 1, 1, 6, tzinfo=UTC), datetime(2013, 1, 1, 7, tzinfo=UTC)]})
    >>> asked = pa.table({"origin": ["JFK"], "asked_at": [datetime(2013, 1, 1, 6, 59, tzinfo=UTC)]})
    >>> point_in_time_join(asked, [BoundView(view, rows)], at="asked_at")["weather__visib"].to_pylist()
    [10.0]
    """
    _check_names(spine, views, with_status=with_status)
    asked = micros(spine, at, "the spine")
    kernel = open_engine(engine)
    fields, columns = list(spine.schema), list(spine.columns)
    for bound in views:
        cells = _answer(spine, asked, bound, kernel, as_known=as_known)
        added = dict(zip(bound.view.columns, bound.view.features, strict=True))
        found = {name: bound.rows.column(feature).take(cells.rows) for name, feature in added.items()}
        if with_status:
            found[f"{bound.view.qualified}__status"] = cells.status()
        fields += [pa.field(name, values.type) for name, values in found.items()]
        columns += found.values()
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, spine.schema.metadata))


def _check_names(spine: pa.Table, views: Sequence[BoundView], *, with_status: bool) -> None:
    names = list(spine.column_names)
    for bound in views:
        names += bound.view.columns
        names += [f"{bound.view.qualified}__status"] if with_status else []
        for feature in bound.view.features:
            column_of(bound.rows, feature, f"view {bound.view.name!r}")
    added = {*names[spine.num_columns :]}
    clashing = [name for name in added if names.count(name) > 1]
    if clashing:
        raise ClashingNames(clashing)


@dataclass(frozen=True, slots=True)
class _Cells:
    """For each question the row that answers it, as a position in the view's table."""

    rows: pa.Array  # null when no row answers
    expired: NDArray[np.bool_]

    def status(self) -> pa.Array:
        names = np.array([PRESENT, MISSING, EXPIRED])
        absent = self.rows.is_null().to_numpy(zero_copy_only=False)
        return pa.array(names[np.where(self.expired, 2, absent.astype(np.int64))], pa.string())


def _answer(
    spine: pa.Table, asked: NDArray[np.int64], bound: BoundView, kernel: JoinEngine, *, as_known: bool
) -> _Cells:
    view = bound.view
    moments = read_moments(bound, as_known=as_known)
    wanted, offered = match_keys(spine, bound.rows, view.keys, f"view {view.name!r}")
    order = moments.order[offered[moments.order] >= 0]
    if as_known:
        order = order[moments.known[order]]
    rows = pa.table({"key": offered[order], "available": moments.available[order]})
    asking = np.flatnonzero(wanted >= 0)
    questions = pa.table({"key": wanted[asking], "at": asked[asking]})
    found = kernel.last_available(questions, rows)
    winners = np.full(len(asked), -1, np.int64)
    has = np.flatnonzero(found.is_valid())
    winners[asking[has]] = order[found.drop_null().to_numpy()]
    expired = _expired(asked, moments.event, winners, view.ttl_us)
    return _Cells(pa.array(winners, mask=(winners < 0) | expired), expired)


def _expired(
    asked: NDArray[np.int64], event: NDArray[np.int64], winners: NDArray[np.int64], ttl_us: int | None
) -> NDArray[np.bool_]:
    expired = np.zeros(len(asked), np.bool_)
    if ttl_us is None:
        return expired
    has = winners >= 0
    # The answer is never later than the question, so an unsigned age cannot overflow.
    age = asked[has].astype(np.uint64) - event[winners[has]].astype(np.uint64)
    expired[has] = age > np.uint64(min(ttl_us, 2**64 - 1))
    return expired
