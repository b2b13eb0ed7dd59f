"""Keep the online store current as source rows are published."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from esteira.base.clock import to_micros
from esteira.features.materialize import materialize
from esteira.features.windows import SlidingWindow
from esteira.project.running import bind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    import pyarrow as pa

    from esteira.data.tables.port import TableStore
    from esteira.features.stores.port import OnlineStore
    from esteira.features.views import FeatureView
    from esteira.features.windows import Window


class OnlineFeed:
    """Pushes published rows into the online store; windowed views move on as time does.

    After `catch_up(now)`, and then `push` of everything published and `advance` to each new moment, the store
    holds for every key exactly what the point-in-time join finds for that moment.
    """

    def __init__(self, views: Iterable[FeatureView], store: OnlineStore) -> None:
        self._store = store
        self._seen: dict[str, int] = {}  # source table → the version that was last caught up with
        self._waiting: list[tuple[FeatureView, pa.Table]] = []
        self._plain: dict[str, list[FeatureView]] = defaultdict(list)
        self._windowed: dict[str, list[tuple[FeatureView, SlidingWindow]]] = defaultdict(list)
        for view in views:
            if view.window is None:
                self._plain[view.source].append(view)
            else:
                self._windowed[view.source].append((view, SlidingWindow(view.window)))

    def catch_up(self, tables: TableStore, now: datetime) -> int:
        """Bring an empty or stale store to `now` from the tables; returns the rows written.

        A table that is not there yet has nothing to bring. May be called again at any later moment.
        """
        written, self._seen = 0, self._versions(tables)
        for source in self._seen:
            rows = tables.read(source)
            for view in self._plain[source]:
                written += materialize(bind(view, rows), self._store, until=now).rows
            for at, (view, sliding) in enumerate(self._windowed[source]):
                written += materialize(bind(view, rows), self._store, until=now).rows
                self._windowed[source][at] = (view, _caught_up(sliding.window, rows, now))
        return written

    def follow(self, tables: TableStore, now: datetime) -> None:
        """Bring the store to `now`: from the tables if anyone has made one grow, else windows only."""
        if self._versions(tables) == self._seen:
            self.advance(to_micros(now))
        else:
            self.catch_up(tables, now)

    def _versions(self, tables: TableStore) -> dict[str, int]:
        there = sorted({*self._plain, *self._windowed} & {*tables.names()})
        return {source: tables.version(source).version for source in there}

    def push(self, source: str, rows: pa.Table) -> None:
        """Take rows of a source table that have just been published; `advance` stores them."""
        self._waiting += [(view, rows) for view in self._plain[source]]
        for _, sliding in self._windowed[source]:
            sliding.add(rows)

    def advance(self, now_us: int) -> None:
        """Close every window boundary up to now and store all that changed at once."""
        for each in self._windowed.values():
            for view, sliding in each:
                changed = sliding.close(now_us)
                if changed.num_rows:
                    self._waiting.append((view, changed))
        if self._waiting:
            self._store.write_many(self._waiting)
            self._waiting = []


def _caught_up(window: Window, rows: pa.Table, now: datetime) -> SlidingWindow:
    """A window that stands at `now`, with the events that later boundaries still count."""
    sliding = SlidingWindow(window)
    since = now - window.length - window.hop
    sliding.add(rows.filter(pc.greater_equal(rows[window.time], since)))
    sliding.close(to_micros(now))
    return sliding
