"""Sliding windows over events: what happened to each key in the last while, known at every hop.

A boundary is a whole number of hops after 1970 in UTC. Its window is [boundary - length, boundary): the
start belongs to it, the end does not, so an event never counts at its own moment. A key gets a row at every
boundary where its window's content changed, also when the last event left.

Sums are of whole numbers and thus exact in any order, which is why the rows that are computed at once, for
training, and those that are computed as events come, for serving, are equal to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.clock import from_micros
from esteira.base.errors import BadInput
from esteira.features.agenda import Agenda, Deltas, joined
from esteira.features.keys import KeyIndex
from esteira.features.times import UTC_MICROS, column_of, micros

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

EVENT_TIME = "event_ts"
_WHAT = "the events"
_MICROSECOND = timedelta(microseconds=1)
_END_OF_TIME = np.iinfo(np.int64).max


class WrongWindow(BadInput):
    """A window that cannot mean anything, or events that it cannot sum exactly."""


class LateEvent(BadInput):
    """An event that belongs to boundaries which are closed: their rows are out and cannot change."""

    def __init__(self, event_us: int, closed_us: int) -> None:
        event, closed = from_micros(event_us).isoformat(), from_micros(closed_us).isoformat()
        super().__init__(
            f"an event of {event} came after its window was closed up to {closed}; "
            "close later, or use the time at which events become known as the window's time"
        )
        self.event_us, self.closed_us = event_us, closed_us


@dataclass(frozen=True, slots=True)
class Totals:
    """What a window knows of one column, per row: the sum and the number of values that are not null."""

    total: NDArray[np.int64]
    count: NDArray[np.int64]


class Measure(Protocol):
    """A number made of a window's events."""

    @property
    def column(self) -> str | None:
        """The integer or boolean column that it needs; none to look at the events alone."""
        ...

    def of(self, totals: Totals) -> pa.Array:
        """The measure of each row, from the totals of its column, or of all events."""
        ...


@dataclass(frozen=True, slots=True)
class Count:
    """How many events there are; 0 in an emptied window."""

    column: None = None

    def of(self, totals: Totals) -> pa.Array:
        return pa.array(totals.count)


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of the values that are not null; 0 when there are none."""

    column: str

    def of(self, totals: Totals) -> pa.Array:
        return pa.array(totals.total)


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of the values that are not null; null when there are none. A sum beyond 2**53 is rounded."""

    column: str

    def of(self, totals: Totals) -> pa.Array:
        empty = totals.count == 0
        return pa.array(totals.total / np.where(empty, 1, totals.count), mask=empty)


@dataclass(frozen=True, slots=True)
class Window:
    """Which events, how far back, how often, and what to say of them.

    Raises: WrongWindow.
    >>> Window(("carrier",), "landed_at", timedelta(hours=24), timedelta(hours=1), {"landed": Count()}).hop_us
    3600000000
    """

    keys: tuple[str, ...]
    time: str  # the column that says when an event counts; best the time at which it became known
    length: timedelta
    hop: timedelta
    measures: Mapping[str, Measure]

    def __post_init__(self) -> None:
        if self.hop <= timedelta(0) or self.length <= timedelta(0) or self.length % self.hop:
            raise WrongWindow(
                f"the length of a window must be a multiple of its hop, found {self.length} and {self.hop}"
            )
        names = [*self.keys, EVENT_TIME, *self.measures]
        if len(set(names)) < len(names) or not self.measures:
            raise WrongWindow(f"a window needs measures, and names of their own, found {', '.join(names)}")

    @property
    def hop_us(self) -> int:
        """`hop` in microseconds."""
        return self.hop // _MICROSECOND

    @property
    def length_us(self) -> int:
        """`length` in microseconds."""
        return self.length // _MICROSECOND

    def definition(self) -> dict[str, object]:
        """All that decides its rows, as JSON values."""
        measures = {name: [type(each).__name__, each.column] for name, each in self.measures.items()}
        times = {"time": self.time, "length_us": self.length_us, "hop_us": self.hop_us}
        return {"keys": [*self.keys], **times, "measures": measures}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of events that its measures need."""
        return tuple(dict.fromkeys(m.column for m in self.measures.values() if m.column is not None))


def window_rows(events: pa.Table, window: Window) -> pa.Table:
    """A row for each key and boundary where its window changed: keys, `event_ts`, measures.

    Rows are sorted by boundary, then keys. Events with a null in their key are about nobody and not counted.
    Raises: UnknownName, NaiveTime, NotATime, NullTime, WrongKey, WrongWindow.
    >>> from datetime import UTC, datetime
    >>> hour = timedelta(hours=1)
    >>> events = pa.table({"k": ["x"], "at": [datetime(2013, 1, 1, 6, 20, tzinfo=UTC)], "delay": [9]})
    >>> rows = window_rows(events, Window(("k",), "at", 2 * hour, hour, {"n": Count(), "d": Mean("delay")}))
    >>> [(row["event_ts"].hour, row["n"], row["d"]) for row in rows.to_pylist()]
    [(7, 1, 9.0), (9, 0, None)]
    """
    sliding = SlidingWindow(window)
    sliding.add(events)
    return sliding.close(_END_OF_TIME)


class SlidingWindow:
    """`window_rows` for events that keep coming: add what happened, close what is over.

    An event enters the sums of its key at the first boundary after it and leaves them one length later;
    both are noted as deltas, and closing adds up the deltas that are due.

    >>> sliding = SlidingWindow(Window((), "at", timedelta(hours=1), timedelta(hours=1), {"n": Count()}))
    >>> sliding.add(pa.table({"at": pa.array([10], UTC_MICROS)}))
    >>> sliding.close(3_600_000_000)["n"].to_pylist()
    [1]
    """

    def __init__(self, window: Window) -> None:
        self.window = window
        self._index = KeyIndex(window.keys, _WHAT)
        width = 1 + 2 * len(window.columns)
        self._entering, self._leaving = Agenda(width), Agenda(width)
        self._closed: int | None = None
        self._sums = np.zeros((0, width), np.int64)
        self._places = np.zeros(0, np.int64)  # of each key among the sorted keys
        self._active = self._largest = 0

    def add(self, events: pa.Table) -> None:
        """Take events in any order, or none of them.

        Raises: LateEvent, UnknownName, NaiveTime, NotATime, NullTime, WrongKey, WrongWindow.
        """
        codes = self._index.codes(events)
        known = codes >= 0
        at = micros(events, self.window.time, _WHAT)[known]
        boundaries = (at // self.window.hop_us + 1) * self.window.hop_us
        if self._closed is not None and boundaries.min(initial=_END_OF_TIME) <= self._closed:
            raise LateEvent(int(at.min()), self._closed)
        amounts = np.stack(self._amounts(events), axis=1)[known]
        self._keep_exact(amounts)
        self._entering.put(Deltas(codes[known], boundaries, amounts))

    def _amounts(self, events: pa.Table) -> list[NDArray[np.int64]]:
        """What each event adds: itself, and for each column its value and whether it has one."""
        amounts = [np.ones(events.num_rows, np.int64)]
        for name in self.window.columns:
            values = column_of(events, name, _WHAT)
            if not (pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)):
                mend = (
                    "sums are exact over integers and booleans only; cast it, e.g. to int64 in smaller units"
                )
                raise WrongWindow(f"column {name!r} of {_WHAT} is {values.type}; {mend}")
            try:
                whole = pc.cast(values, pa.int64())
            except pa.ArrowInvalid as large:
                raise WrongWindow(f"column {name!r} of {_WHAT} holds numbers beyond int64") from large
            amounts += [pc.fill_null(whole, 0).to_numpy(), np.asarray(values.is_valid(), dtype=np.int64)]
        return amounts

    def _keep_exact(self, amounts: NDArray[np.int64]) -> None:
        largest = max(int(amounts.max(initial=0)), -int(amounts.min(initial=0)), self._largest)
        if largest * (self._active + len(amounts)) > _END_OF_TIME:
            raise WrongWindow(f"sums of values as large as {largest} may not fit int64; use a larger unit")
        self._active += len(amounts)
        self._largest = largest

    def close(self, until: int) -> pa.Table:
        """The rows of all boundaries up to that UTC microsecond, included, that were not closed before."""
        self._closed = until if self._closed is None else max(until, self._closed)
        entering = self._entering.take(until)
        length = self.window.length_us
        self._leaving.put(Deltas(entering.codes, entering.boundaries + length, -entering.amounts))
        leaving = self._leaving.take(until)
        self._active -= len(leaving.codes)
        changes = joined((entering, leaving)).summed()
        sums = self._advance(changes)
        self._place_keys()
        order = np.lexsort((self._places[changes.codes], changes.boundaries))
        return self._rows(changes.codes[order], changes.boundaries[order], sums[order])

    def _advance(self, changes: Deltas) -> NDArray[np.int64]:
        """The sums of each key after each of its changes, which are sorted by key, then boundary."""
        grown = len(self._index) - len(self._sums)
        self._sums = np.concatenate([self._sums, np.zeros((grown, self._sums.shape[1]), np.int64)])
        if not len(changes.codes):
            return changes.amounts
        running = np.cumsum(changes.amounts, axis=0)
        last = np.flatnonzero(np.diff(changes.codes, append=-1))
        before = np.concatenate([np.zeros((1, running.shape[1]), np.int64), running[last[:-1]]])
        keys = changes.codes[last]
        running += np.repeat(self._sums[keys] - before, np.diff(last, prepend=-1), axis=0)
        self._sums[keys] = running[last]
        return running

    def _place_keys(self) -> None:
        if len(self._places) == len(self._index):
            return
        self._places = np.zeros(len(self._index), np.int64)
        if self.window.keys:
            by_key = [(name, "ascending") for name in self.window.keys]
            order = np.asarray(pc.sort_indices(self._index.table(), sort_keys=by_key))
            self._places[order] = np.arange(len(order))

    def _rows(
        self, codes: NDArray[np.int64], boundaries: NDArray[np.int64], sums: NDArray[np.int64]
    ) -> pa.Table:
        every = Totals(sums[:, 0], sums[:, 0])
        totals = {
            name: Totals(sums[:, 1 + 2 * at], sums[:, 2 + 2 * at])
            for at, name in enumerate(self.window.columns)
        }
        columns = {name: column.take(codes) for name, column in self._keys()}
        columns[EVENT_TIME] = pa.array(boundaries).cast(UTC_MICROS)
        for name, measure in self.window.measures.items():
            columns[name] = measure.of(every if measure.column is None else totals[measure.column])
        return pa.table(columns)

    def _keys(self) -> list[tuple[str, pa.ChunkedArray]]:
        table = self._index.table()
        return [(name, table.column(name)) for name in self.window.keys]
