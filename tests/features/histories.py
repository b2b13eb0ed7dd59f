"""Small histories of a table, and whether the online store stands where training does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from tests.features.oracle import answer, micros, plain

from esteira.base.clock import SimulatedClock, from_micros
from esteira.data.tables.delta import DeltaTables
from esteira.features.ledger import FeatureLedger
from esteira.features.materialize import Materialized, materialize_view
from esteira.features.online import OnlineReader
from esteira.features.point_in_time import point_in_time_join
from esteira.features.stores.lmdb import LmdbStore
from esteira.features.views import BoundView, FeatureView
from esteira.features.windows.sliding import window_rows

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from esteira.data.tables.port import TableStore
    from esteira.features.stores.port import OnlineStore

KEYS = ["a", "b", "c", "d", None]
LAST = 120  # the last moment at which anything happens


class World:
    """A project's features in a folder: tables, store, ledger and clock, each of which may be replaced."""

    def __init__(self, folder: Path) -> None:
        self.clock = SimulatedClock(start=from_micros(10**12))
        self.tables: TableStore = DeltaTables(f"delta:{folder}/tables")
        self.store: OnlineStore = LmdbStore(f"lmdb:{folder}/online")
        self.ledger = FeatureLedger(f"sqlite:{folder}/features.db", self.clock)

    def materialize(self, view: FeatureView, until: int, **options: Any) -> Materialized:
        moment = from_micros(until)
        return materialize_view(view, self.tables, self.store, self.ledger, until=moment, **options)

    def online(self, view: FeatureView, until: int) -> list[dict[str, Any]]:
        """What a request of each key reads at a moment."""
        reader, found = OnlineReader(self.store, (view.ref(),)), []
        for key in KEYS:
            values: dict[str, Any] = {"k": key}
            reader.fill(values, until)
            found.append(values)
        return found

    def offline(self, view: FeatureView, until: int) -> list[dict[str, Any]]:
        """What training sees for each key and that moment, from all that was ever committed."""
        rows = self.tables.read(view.source)
        bound = BoundView(view, rows if view.window is None else window_rows(rows, view.window))
        asked = pa.table({"k": pa.array(KEYS, pa.string()), "at": micros([until] * len(KEYS))})
        joined = point_in_time_join(asked, [bound], at="at").drop_columns(["at"]).to_pylist()
        if view.window is None:
            assert joined == by_brute_force(view, rows, until)
        found: list[dict[str, Any]] = joined
        return found

    def changed_last(self, view: FeatureView) -> list[int | None]:
        """The event time of each stored row."""
        rows = [self.store.read(view.qualified, (key,)) for key in KEYS if key is not None]
        return [None if row is None else row.event_us for row in rows]


def by_brute_force(view: FeatureView, rows: pa.Table, until: int) -> list[dict[str, Any]]:
    found = []
    for key in KEYS:
        _, row = answer(view, plain(rows), {"k": key, "at": until})
        cells = {f"{view.qualified}__{name}": None if row is None else row[name] for name in view.features}
        found.append({"k": key} | cells)
    return found


def events_of(cells: list[tuple[str | None, int, int | None, int | None]]) -> pa.Table:
    """Rows from (key, event, known, x)."""
    return pa.table(
        {
            "k": pa.array([key for key, *_ in cells], pa.string()),
            "event_ts": micros([event for _, event, _, _ in cells]),
            "known": micros([known for _, _, known, _ in cells]),
            "x": pa.array([x for *_, x in cells], pa.int64()),
        }
    )


def commits(chance: random.Random, count: int) -> list[pa.Table]:
    """Rows in the order in which they are committed: a tenth late, some early, ties, nulls, many sizes."""
    parts = []
    for number in range(count):
        now, cells = LAST * (number + 1) // count, []
        for _ in range(chance.choice([1, 3, 20])):
            late = chance.random() < 0.1
            event = chance.randint(0, now) if late else chance.randint(max(0, now - LAST // count), now + 4)
            known = chance.choice([event, event + chance.randint(0, 9), now, None, max(0, event - 3)])
            cells.append((chance.choice(KEYS), event, known, chance.choice([None, *range(9)])))
        parts.append(events_of(cells))
    return parts
