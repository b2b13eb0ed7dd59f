"""The point-in-time join: what was known about each entity at the moment of the question, and no more.

For a question at T a row of a view counts when its keys are equal, its event time is at most T, and it was
created by T. Of those the greatest (event time, created time, place in its table) answers; only then is it
asked whether the answer still holds (TTL). Every question gets exactly one row back, in its order.

The plan is made here over whole numbers: keys become codes, rows stand in the order in which they beat each
other, and a row is available at max(event time, created time). The engine only has to find the last row
that was available, which is exact: the order of rows does not depend on the question.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput
from esteira.features.cells import NOT_THERE, TOO_OLD, Cells
from esteira.features.engines import open_engine
from esteira.features.matching import KeyMatcher
from esteira.features.moments import read_moments
from esteira.features.ordering import stable_order
from esteira.features.times import column_of, micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from esteira.features.engines.port import JoinEngine
    from esteira.features.views import BoundView

_T = TypeVar("_T")
_STRETCHES = 1 << 15  # with 2**17 keys they fill two limbs of the sort
_MANY_ROWS = 100_000  # fewer are joined sooner than threads start


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
    engine: str = "numpy:",
) -> pa.Table:
    """The spine with the features of each view as they stood at the time in column `at`.

    Adds a column `view__feature` for every feature, null when no row holds or it holds null, and with
    `with_status` a column `view__feature__status` that says of each cell: present, missing, expired or null.
    `as_known=False` also lets rows answer that were created after the question; use it to study, never to
    train. `engine` finds the rows: `numpy:`, `duckdb:` (spills to disk), `polars:`, or `shards:N` for N
    processes; the result is the same.

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
    plan = _Plan(as_known, with_status, open_engine(engine))
    join = _Join(spine, micros(spine, at, "the spine"), views, plan)
    added = join.added()
    fields = [*spine.schema, *(pa.field(name, values.type) for name, values in added)]
    columns = [*spine.columns, *(values for _, values in added)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, spine.schema.metadata))


def _check_names(spine: pa.Table, views: Sequence[BoundView], *, with_status: bool) -> None:
    added = []
    for bound in views:
        for feature, column in zip(bound.view.features, bound.view.columns, strict=True):
            column_of(bound.rows, feature, f"view {bound.view.name!r}")
            added += [column, _status_of(column)] if with_status else [column]
    counts = Counter([*spine.column_names, *added])
    clashing = [name for name in added if counts[name] > 1]
    if clashing:
        raise ClashingNames(clashing)


def _status_of(column: str) -> str:
    return f"{column}__status"


class _Plan(NamedTuple):
    """How to join."""

    as_known: bool
    with_status: bool
    engine: JoinEngine


class _Inline(Executor):
    """Does at once, in the thread that asks, what a pool would do soon."""

    def submit(self, act: Callable[..., _T], /, *arguments: object, **named: object) -> Future[_T]:
        done: Future[_T] = Future()
        done.set_result(act(*arguments, **named))
        return done


class _Asked(NamedTuple):
    """The questions about entities of one kind."""

    matcher: KeyMatcher
    places: NDArray[np.int64]  # of the questions about somebody, in the order of `questions`
    questions: pa.Table  # their keys and times


class _Join:
    """One spine against several views; what depends on the spine alone is done once."""

    def __init__(
        self, spine: pa.Table, asked: NDArray[np.int64], views: Sequence[BoundView], plan: _Plan
    ) -> None:
        self._times, self._views, self._plan = asked, views, plan
        kinds = dict.fromkeys(bound.view.keys for bound in views)
        self._asked = {keys: _questions(KeyMatcher(spine, keys), asked) for keys in kinds}

    def added(self) -> list[tuple[str, pa.Array]]:
        """The columns that the views add."""
        with self._pool() as pool:
            answers = [(bound, pool.submit(self._answer, bound)) for bound in self._views]
            columns = [
                pool.submit(self._cells, answer.result(), bound.rows.column(feature), column)
                for bound, answer in answers
                for feature, column in zip(bound.view.features, bound.view.columns, strict=True)
            ]
            return [each for column in columns for each in column.result()]

    def _pool(self) -> Executor:
        rows = max([len(self._times), *(bound.rows.num_rows for bound in self._views)])
        threads = min(self._plan.engine.threads, os.cpu_count() or 1)
        return ThreadPoolExecutor(threads) if rows >= _MANY_ROWS and threads > 1 else _Inline()

    def _cells(self, cells: Cells, values: pa.ChunkedArray, column: str) -> list[tuple[str, pa.Array]]:
        taken = cells.take(values)
        if not self._plan.with_status:
            return [(column, taken)]
        return [(column, taken), (_status_of(column), cells.status(taken))]

    def _answer(self, bound: BoundView) -> Cells:
        view, asked = bound.view, self._asked[bound.view.keys]
        moments = read_moments(bound, as_known=self._plan.as_known)
        offered = asked.matcher.codes_of(bound.rows, f"view {view.name!r}")
        counts = offered >= 0
        if self._plan.as_known:
            counts &= moments.known
        order = None if moments.moved is None and counts.all() else moments.order[counts[moments.order]]
        rows, event = {"key": offered, "available": moments.available}, moments.event
        del moments, offered, counts  # the arrays are large and the kernel needs room
        if order is not None:
            rows = {name: values[order] for name, values in rows.items()}
        found = self._plan.engine.last_available(asked.questions, pa.table(rows))
        winners = pc.fill_null(found, NOT_THERE).to_numpy()
        if order is not None:
            winners = np.append(order, NOT_THERE)[winners]  # -1 finds the last place
        winners = _held(asked.questions["at"].to_numpy(), event, winners, view.ttl_us)
        placed = np.full(len(self._times), NOT_THERE, np.int64)
        placed[asked.places] = winners
        return Cells(placed)


def _questions(matcher: KeyMatcher, asked: NDArray[np.int64]) -> _Asked:
    """The questions about somebody, by key and roughly by time: that is near enough for any engine."""
    order = stable_order(matcher.codes * _STRETCHES + _stretch(asked))
    places = order[matcher.codes[order] >= 0]
    return _Asked(matcher, places, pa.table({"key": matcher.codes[places], "at": asked[places]}))


def _stretch(asked: NDArray[np.int64]) -> NDArray[np.int64]:
    """In which of `_STRETCHES` equal parts of all time from the first question on each one is asked."""
    if not len(asked):
        return asked
    since = (asked - asked.min()).view(np.uint64)  # wraps around, and is exact
    shift = max(int(since.max()).bit_length() - _STRETCHES.bit_length() + 1, 0)
    stretch: NDArray[np.int64] = (since >> np.uint64(shift)).view(np.int64)
    return stretch


def _held(
    asked: NDArray[np.int64], event: NDArray[np.int64], winners: NDArray[np.int64], ttl_us: int | None
) -> NDArray[np.int64]:
    """The rows that still hold when they are asked for."""
    if ttl_us is None or not len(event):
        return winners
    # The answer is never later than the question, so an unsigned age cannot overflow.
    age = asked.view(np.uint64) - event[winners].view(np.uint64)
    too_old = (age > np.uint64(min(ttl_us, 2**64 - 1))) & (winners >= 0)
    return np.where(too_old, TOO_OLD, winners)
