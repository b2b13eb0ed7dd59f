"""Keep the online store current as source rows are published."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from esteira.base.clock import to_micros
from esteira.data.tables.port import SEQUENCE
from esteira.features.materialize import materialize_view
from esteira.features.recent import columns_of, moment_of
from esteira.features.windows.sliding import SlidingWindow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from numpy.typing import NDArray

    from esteira.base.records import TableVersion
    from esteira.data.tables.port import TableStore
    from esteira.features.ledger import FeatureLedger
    from esteira.features.stores.port import OnlineStore
    from esteira.features.views import FeatureView
    from esteira.features.windows.sliding import Window


class OnlineFeed:
    """Pushes published rows into the online store; windowed views move on as time does.

    After `catch_up(now)`, and then `push` of everything published and `advance` to each new moment, the store
    holds for every key exactly what the point-in-time join finds for that moment.
    """

    def __init__(self, views: Iterable[FeatureView], store: OnlineStore, ledger: FeatureLedger) -> None:
        self._views, self._store, self._ledger = tuple(views), store, ledger
        self._seen: dict[str, TableVersion] = {}  # source table → what was last caught up with
        self._stored: set[str] = set()  # the views that the store had then
        self._pushed: dict[str, int] = defaultdict(int)  # source table → rows since then
        self._waiting: list[tuple[FeatureView, pa.Table]] = []
        self._sliding = {each.qualified: SlidingWindow(each.window) for each in self._views if each.window}

    def catch_up(self, tables: TableStore, now: datetime) -> int:
        """Bring an empty or stale store to `now` from the tables; returns the rows written.

        Only what the tables have got since the last time is read, whoever asked for it. A table that is not
        there yet has nothing to bring. May be called again at any later moment.
        Raises: as `materialize_view`.
        """
        seen, written = self._versions(tables), 0
        for view in self._views:
            if view.source in seen:
                written += materialize_view(view, tables, self._store, self._ledger, until=now).rows
                if view.window is not None:
                    self._sliding[view.qualified] = _caught_up(view.window, tables, view.source, now)
        self._seen = seen
        self._stored = {view.qualified for view in self._views} & {*self._store.views()}
        self._pushed.clear()
        return written

    def follow(self, tables: TableStore, now: datetime) -> None:
        """Bring the store to `now`: windows only, unless a table has grown or the store has lost a view."""
        if self._versions(tables) == self._seen and not self._has_lost_any():
            self.advance(to_micros(now))
        else:
            self.catch_up(tables, now)

    def _has_lost_any(self) -> bool:
        """Whether the store is no longer the one that was filled, as a server that began anew."""
        return any(self._store.layout(name) is None for name in self._stored)

    def _versions(self, tables: TableStore) -> dict[str, TableVersion]:
        there = sorted({view.source for view in self._views} & {*tables.names()})
        return {source: tables.version(source) for source in there}

    def push(self, source: str, rows: pa.Table) -> None:
        """Take rows of a source table that have just been published; `advance` stores them."""
        numbered = _numbered(rows, np.arange(rows.num_rows) + self._rows(source))
        self._pushed[source] += rows.num_rows
        for view in self._views:
            if view.source == source:
                if view.window is None:
                    self._waiting.append((view, numbered))
                else:
                    self._sliding[view.qualified].add(numbered)

    def _rows(self, source: str) -> int:
        """How many rows the table has with those that were pushed: the place of the next one."""
        return (self._seen[source].rows if source in self._seen else 0) + self._pushed[source]

    def advance(self, now_us: int) -> None:
        """Close every window boundary up to now and store all that changed at once."""
        for view in self._views:
            if view.window is not None:
                changed = self._sliding[view.qualified].close(now_us)
                if changed.num_rows:
                    places = np.full(changed.num_rows, self._rows(view.source))
                    self._waiting.append((view, _numbered(changed, places)))
        if self._waiting:
            self._store.write_many(self._waiting)
            self._waiting = []


def _numbered(rows: pa.Table, places: NDArray[np.int64]) -> pa.Table:
    return rows.append_column(SEQUENCE, pa.array(places, pa.int64()))


def _caught_up(window: Window, tables: TableStore, source: str, now: datetime) -> SlidingWindow:
    """A window that stands at `now`, with the events that later boundaries still count."""
    sliding = SlidingWindow(window)
    since = to_micros(now) - window.length_us - window.hop_us
    still = [(window.time, ">=", moment_of(since))]
    for events in tables.scan(source, columns=list(dict.fromkeys(columns_of(window))), where=still):
        sliding.add(events)
    sliding.close(to_micros(now))
    return sliding
