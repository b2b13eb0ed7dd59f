"""Materializing ends where the point-in-time join stands, in whatever parts and order."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.features.oracle import KEYS, answer, plain, rows_of, some_rows, view_of

from esteira.base.clock import from_micros
from esteira.base.errors import NaiveTime
from esteira.features.materialize import Materialized, materialize
from esteira.features.stores.lmdb import LmdbStore
from esteira.features.stores.memory import MemoryStore
from esteira.features.stores.port import StoredRow
from esteira.features.views import BoundView

if TYPE_CHECKING:
    from pathlib import Path

X = ("x", "y")


def test_only_what_has_happened_and_is_known_counts() -> None:
    rows = rows_of([(X, 1, 1, 1.0), (X, 2, 9, 2.0), (X, 8, 3, 3.0), (X, 3, None, 4.0)])
    found = []
    for until in (0, 1, 8, 9):
        store = MemoryStore()
        materialize(BoundView(view_of(), rows), store, until=from_micros(until))
        row = store.read("v", X)
        found.append(row and row.values[0])
    assert found == [None, 1.0, 3.0, 3.0]


def test_without_an_end_all_rows_count() -> None:
    store = MemoryStore()
    rows = rows_of([(X, 1, 1, 1.0), (X, 2**60, 2**60, 2.0)])
    assert materialize(BoundView(view_of(), rows), store) == Materialized(rows=1, view="v")
    assert store.read("v", X) == StoredRow(2**60, 2**60, (2.0,))


@pytest.mark.parametrize("seed", range(6))
def test_in_steps_and_again_it_ends_where_the_join_stands(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    bound = BoundView(view_of(), some_rows(chance, 80))
    store = LmdbStore(f"lmdb:{tmp_path}")
    for until in (2, 3, 3, 7, 9, 20):
        materialize(bound, store, until=from_micros(until))
        for key in KEYS:
            _, row = answer(bound.view, plain(bound.rows), {"a": key[0], "b": key[1], "at": until})
            found = None if None in key else store.read("v", (key[0] or "", key[1] or ""))
            assert (found and found.values[0]) == (row and row["value"])
            assert (found and found.event_us) == (row and row["event_ts"])
    store.close()


def test_rows_that_are_part_of_a_table_keep_their_places() -> None:
    rows = rows_of([(X, 5, 5, 1.0), (X, 5, 5, 2.0)])
    numbered = rows.append_column("_seq", pa.array([0, 1], pa.int64()))
    store = MemoryStore()
    materialize(BoundView(view_of(), numbered.slice(1)), store)
    assert materialize(BoundView(view_of(), numbered.slice(0, 1)), store).rows == 0
    assert materialize(BoundView(view_of(), rows), store).rows == 0


def test_an_end_without_zone_is_refused() -> None:
    with pytest.raises(NaiveTime, match="until"):
        materialize(BoundView(view_of(), rows_of([])), MemoryStore(), until=datetime(2013, 1, 1))  # noqa: DTZ001
    assert materialize(BoundView(view_of(), rows_of([])), MemoryStore(), until=datetime.now(UTC)).rows == 0
