"""Sliding windows over events: what happened to each key in the last while, known at every hop.

A boundary is a whole number of hops after 1970 in UTC. Its window is [boundary - length, boundary): the
start belongs to it, the end does not, so an event never counts at its own moment. A key gets a row at every
boundary where its window's content changed, also when the last event left.

Events may become known late. With the column that says when, an event counts in every window that it belongs
to whose boundary is not before that moment; without it, an event that comes after its boundary is refused.
Either way a row, once out, never changes, and training sees what serving saw.

Sums are of whole numbers and thus exact in any order, and all other measures depend on nothing but the
events that count: the rows that are computed at once, for training, and those that are computed as events
come, for serving, are equal to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.clock import from_micros
from esteira.base.errors import BadInput
from esteira.features.keys import KeyIndex
from esteira.features.ordering import stable_order
from esteira.features.times import UTC_MICROS, micros, nullable_micros
from esteira.features.windows.agenda import END_OF_TIME, Agenda, Deltas
from esteira.features.windows.columns import EVENTS, WrongWindow, amounts_of
from esteira.features.windows.held import Held, HeldEvents
from esteira.features.windows.measures import Additive, Spanning, Totals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from esteira.features.windows.measures import Measure

EVENT_TIME = "event_ts"
_MICROSECOND = timedelta(microseconds=1)
_AT_ONCE = 1 << 17  # deltas: enough to be fast, few enough that working them out needs little memory


class LateEvent(BadInput):
    """An event that belongs to boundaries which are closed: their rows are out and cannot change."""

    def __init__(self, event_us: int, closed_us: int) -> None:
        event, closed = from_micros(event_us).isoformat(), from_micros(closed_us).isoformat()
        super().__init__(
            f"an event of {event} came after its window was closed up to {closed}; "
            "close later, or let the window's `created` name the time at which events really become known"
        )
        self.event_us, self.closed_us = event_us, closed_us


class Stays(NamedTuple):
    """When each event happened, the first boundary at which it counts, and the first at which no more."""

    at: NDArray[np.int64]
    enters: NDArray[np.int64]  # Window.NEVER for an event that never counts
    leaves: NDArray[np.int64]

    def part(self, events: NDArray[np.int64]) -> Stays:
        """Those of some events, by position."""
        return Stays(*(each[events] for each in self))


@dataclass(frozen=True, slots=True)
class Window:
    """Which events, how far back, how often, and what to say of them.

    With `created`, the column that says when an event became known, an event counts at a boundary if it
    belongs to its window and was created by then; a null there means that it never was.

    Raises: WrongWindow.
    >>> from esteira.features.windows.measures import Count
    >>> Window(("carrier",), "landed_at", timedelta(hours=24), timedelta(hours=1), {"landed": Count()}).hop_us
    3600000000
    """

    NEVER: ClassVar[int] = END_OF_TIME

    keys: tuple[str, ...]
    time: str  # the column that says when an event counts
    length: timedelta
    hop: timedelta
    measures: Mapping[str, Measure]
    created: str | None = None

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
        measures = {name: _defined(each) for name, each in self.measures.items()}
        times = {"time": self.time, "length_us": self.length_us, "hop_us": self.hop_us}
        created = {} if self.created is None else {"created": self.created}
        return {"keys": [*self.keys], **times, **created, "measures": measures}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of events that its measures need."""
        return tuple(dict.fromkeys(m.column for m in self.measures.values() if m.column is not None))

    def enters(self, events: pa.Table) -> NDArray[np.int64]:
        """The first boundary at which each event counts, shape (events,), in UTC microseconds.

        `Window.NEVER` for one that becomes known only when no window holds it any more. Whether an event is
        about anybody is not asked. Raises: UnknownName, NaiveTime, NotATime, NullTime (not of `created`),
        WrongWindow.
        >>> from esteira.features.windows.measures import Count
        >>> window = Window((), "at", 2 * _MICROSECOND, _MICROSECOND, {"n": Count()}, created="known")
        >>> known = pa.array([0, 12, 13, None], UTC_MICROS)
        >>> found = window.enters(pa.table({"at": pa.array([10] * 4, UTC_MICROS), "known": known}))
        >>> [None if boundary == Window.NEVER else boundary for boundary in found.tolist()]
        [11, 12, None, None]
        """
        return self.stays(events).enters

    def stays(self, events: pa.Table) -> Stays:
        """From when until when each event counts. Raises: as `enters`."""
        at = micros(events, self.time, EVENTS)
        if at.max(initial=0) > self.NEVER - self.length_us - self.hop_us:
            what = "a time that its window would outlast, for time ends in 64 bits"
            raise WrongWindow(f"column {self.time!r} of {EVENTS} holds {what}; drop such events")
        first = (at // self.hop_us + 1) * self.hop_us
        leaves = first + self.length_us
        if self.created is None:
            return Stays(at, first, leaves)
        created = nullable_micros(events, self.created, EVENTS)
        # Beyond these two it makes no difference, and could overflow.
        known = np.clip(pc.fill_null(created, 0).to_numpy(), first, leaves)
        enters = -(-known // self.hop_us) * self.hop_us
        counts = np.asarray(created.is_valid()) & (enters < leaves)
        return Stays(at, np.where(counts, enters, self.NEVER), leaves)


def _defined(measure: Measure) -> list[object]:
    unit = measure.unit if isinstance(measure, Additive) else None
    return [type(measure).__name__, measure.column, *([] if unit is None else [unit])]


def window_rows(events: pa.Table, window: Window) -> pa.Table:
    """A row for each key and boundary where its window changed: keys, `event_ts`, measures.

    Rows are sorted by boundary, then keys. Events with a null in their key are about nobody and not counted.
    Raises: UnknownName, NaiveTime, NotATime, NullTime, WrongKey, WrongWindow.
    >>> from datetime import UTC, datetime
    >>> from esteira.features.windows.measures import Count, Mean
    >>> hour = timedelta(hours=1)
    >>> events = pa.table({"k": ["x"], "at": [datetime(2013, 1, 1, 6, 20, tzinfo=UTC)], "delay": [9]})
    >>> rows = window_rows(events, Window(("k",), "at", 2 * hour, hour, {"n": Count(), "d": Mean("delay")}))
    >>> [(row["event_ts"].hour, row["n"], row["d"]) for row in rows.to_pylist()]
    [(7, 1, 9.0), (9, 0, None)]
    """
    sliding = SlidingWindow(window)
    sliding.add(events)
    return sliding.close(END_OF_TIME)


class SlidingWindow:
    """`window_rows` for events that keep coming: add what happened, close what is over.

    An event enters the sums of its key at one boundary and leaves them at another; both are noted as deltas,
    and closing adds up the deltas that are due. Events themselves are kept only for measures that ask for it,
    and only until they have left. The time of a close follows what is due and, with such measures, the events
    that count; so does its memory, however much is due, for that is worked out in slices of time.

    >>> from esteira.features.windows.measures import Count
    >>> sliding = SlidingWindow(Window((), "at", timedelta(hours=1), timedelta(hours=1), {"n": Count()}))
    >>> sliding.add(pa.table({"at": pa.array([10], UTC_MICROS)}))
    >>> sliding.close(3_600_000_000)["n"].to_pylist()
    [1]
    """

    def __init__(self, window: Window) -> None:
        self.window = window
        self._index = KeyIndex(window.keys, EVENTS)
        additive = [each for each in window.measures.values() if isinstance(each, Additive)]
        self._summed = list(dict.fromkeys((m.column, m.unit) for m in additive if m.column is not None))
        spanning = {name: each for name, each in window.measures.items() if isinstance(each, Spanning)}
        self._held = HeldEvents(spanning) if spanning else None
        width = 1 + 2 * len(self._summed)
        self._entering, self._leaving = Agenda(Deltas.none(width)), Agenda(Deltas.none(width))
        self._closed: int | None = None
        self._active = self._largest = 0
        self._sums = np.zeros((0, width), np.int64)
        self._places = np.zeros(0, np.int64)  # of each key among the sorted keys

    def add(self, events: pa.Table) -> None:
        """Take events in any order, or none of them.

        Raises: LateEvent, UnknownName, NaiveTime, NotATime, NullTime, WrongKey, WrongWindow.
        """
        codes = self._index.codes(events)
        stays = self.window.stays(events)
        counting = np.flatnonzero((codes >= 0) & (stays.enters < self.window.NEVER))
        counting = counting[stable_order(stays.enters[counting])]
        stays, codes = stays.part(counting), codes[counting]
        if self._closed is not None and stays.enters.min(initial=END_OF_TIME) <= self._closed:
            raise LateEvent(int(stays.at[0]), self._closed)
        amounts = self._amounts(events)[counting]
        self._keep_exact(amounts)
        if self._held is not None:
            sequence, values = self._held.read(events)
            stayed = (codes, stays.enters, stays.leaves, stays.at)
            self._held.put(Held(*stayed, sequence[counting], values.take(counting)))
        self._entering.put(Deltas(codes, stays.enters, amounts))
        self._leaving.put(Deltas(codes, stays.leaves, amounts))
        self._active += len(codes)

    def _amounts(self, events: pa.Table) -> NDArray[np.int64]:
        """What each event adds: itself, and for each column its value and whether it has one."""
        amounts = [np.ones(events.num_rows, np.int64)]
        for column, unit in self._summed:
            amounts += amounts_of(events, column, unit)
        return np.stack(amounts, axis=1)

    def _keep_exact(self, amounts: NDArray[np.int64]) -> None:
        largest = max(int(amounts.max(initial=0)), -int(amounts.min(initial=0)), self._largest)
        if largest * (self._active + len(amounts)) > END_OF_TIME:
            raise WrongWindow(f"sums of values as large as {largest} may not fit int64; use a larger unit")
        self._largest = largest

    def close(self, until: int) -> pa.Table:
        """The rows of all boundaries up to that UTC microsecond, included, that were not closed before."""
        self._closed = until if self._closed is None else max(until, self._closed)
        return pa.concat_tables([self._close(cut) for cut in self._cuts(until)])

    def _cuts(self, until: int) -> Iterator[int]:
        """Moments up to `until`, between which little is due, though as much as is held from before."""
        while True:
            at_once = max(_AT_ONCE, 0 if self._held is None else self._held.counting)
            cut = min(agenda.boundary_of(at_once) for agenda in (self._entering, self._leaving))
            if cut >= until:
                break
            yield cut
        yield until

    def _close(self, until: int) -> pa.Table:
        leaving = self._leaving.take(until)
        self._active -= len(leaving.codes)
        changes = Deltas.joined((self._entering.take(until), leaving.negative())).summed()
        sums = self._advance(changes)
        found = {} if self._held is None else self._held.close(changes, until)
        self._place_keys()
        order = np.lexsort((self._places[changes.codes], changes.boundaries))
        columns = {name: values.take(changes.codes[order]) for name, values in self._keys()}
        columns[EVENT_TIME] = pa.array(changes.boundaries[order]).cast(UTC_MICROS)
        totals = self._totals(sums[order])
        for name, measure in self.window.measures.items():
            if isinstance(measure, Additive):
                columns[name] = measure.of(totals[measure.column, measure.unit])
            else:
                columns[name] = found[name].take(order)
        return pa.table(columns)

    def _advance(self, changes: Deltas) -> NDArray[np.int64]:
        """The sums of each key after each of its changes, which are sorted by key, then boundary."""
        if grown := len(self._index) - len(self._sums):
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

    def _totals(self, sums: NDArray[np.int64]) -> dict[tuple[str | None, float | None], Totals]:
        """What the sums of rows mean, for each column and unit; of no column for all events."""
        totals: dict[tuple[str | None, float | None], Totals] = {}
        totals[None, None] = Totals(sums[:, 0], sums[:, 0])
        for at, summed in enumerate(self._summed):
            totals[summed] = Totals(sums[:, 1 + 2 * at], sums[:, 2 + 2 * at])
        return totals

    def _keys(self) -> list[tuple[str, pa.ChunkedArray]]:
        table = self._index.table()
        return [(name, table.column(name)) for name in self.window.keys]
