"""What is read of events: the last two lengths with their keys together, and what has left since."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.features.histories import commits, events_of
from tests.features.oracle import plain

from esteira.base.errors import BadInput
from esteira.data.tables.delta import DeltaTables
from esteira.features import recent
from esteira.features.ledger import BEFORE_ALL, Run
from esteira.features.recent import Recent, columns_of, window_parts
from esteira.features.times import NullTime
from esteira.features.windows.measures import Count, Sum
from esteira.features.windows.sliding import Window

if TYPE_CHECKING:
    from pathlib import Path

US = timedelta(microseconds=1)
WINDOW = Window(("k",), "event_ts", 10 * US, 5 * US, {"n": Count(), "total": Sum("x")}, "known")


@pytest.fixture
def tables(tmp_path: Path) -> DeltaTables:
    return DeltaTables(f"delta:{tmp_path}")


def read(tables: DeltaTables, run: Run, window: Window = WINDOW) -> list[list[dict[str, Any]]]:
    parts = window_parts(window, tables, "t", run)
    steps = [[step.rows for step in part.steps(0) if step.rows.num_rows] for part in parts]
    return [[row for rows in each for row in plain(rows)] for each in steps]


def test_an_event_counts_first_and_has_left_afterwards(tables: DeltaTables) -> None:
    tables.append("t", events_of([("a", 7, 7, 3)]))
    row = {"k": "a", "event_ts": 10, "n": 1, "total": 3, "_seq": 1}
    gone = row | {"event_ts": 20, "n": 0, "total": 0}
    assert read(tables, Run(-1, 0, BEFORE_ALL, 9, 0)) == [[], []]
    assert read(tables, Run(-1, 0, BEFORE_ALL, 12, 0)) == [[row], []]
    assert read(tables, Run(-1, 0, BEFORE_ALL, 21, 0)) == [[gone], []]
    assert read(tables, Run(-1, 0, BEFORE_ALL, 99, 0)) == [[], [row, gone]]
    assert read(tables, Run(0, 0, 12, 99, 0)) == [[], [row, gone]]  # it left between the two runs
    assert read(tables, Run(0, 0, 45, 99, 0)) == [[], []]  # it had left before


def test_without_a_new_boundary_and_new_rows_nothing_is_read(tables: DeltaTables) -> None:
    tables.append("t", events_of([("a", 7, 7, 3)]))
    assert window_parts(WINDOW, tables, "t", Run(0, 0, 10, 14, 0)) == []
    assert len(window_parts(WINDOW, tables, "t", Run(0, 0, 10, 15, 0))) == 1


def test_only_keys_that_changed_are_written_again(tables: DeltaTables) -> None:
    tables.append("t", events_of([("a", 7, 7, 3), ("b", 7, 7, 4)]))
    tables.append("t", events_of([("b", 6, 6, 5), (None, 6, 6, 6)]))
    (rows, _) = read(tables, Run(0, 1, 12, 14, 0))
    assert rows == [{"k": "b", "event_ts": 10, "n": 2, "total": 9, "_seq": 4}]


@pytest.mark.parametrize("keys", [("k",), ("k", "x"), ()])
def test_shards_give_together_what_one_gives(
    tables: DeltaTables, keys: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in commits(random.Random(2), 4):
        tables.append("t", part)
    window = Window(keys, "event_ts", 20 * US, 5 * US, {"n": Count()}, "known")
    run = Run(-1, 3, BEFORE_ALL, 100, 0)
    whole = read(tables, run, window)[0]
    monkeypatch.setattr(recent, "SHARD", 3)
    part = window_parts(window, tables, "t", run)[0]
    assert isinstance(part, Recent)
    steps = [*part.steps(0)]
    assert len(steps) > 3
    assert steps[-1].done == part.size
    found = [row for step in steps if step.rows.num_rows for row in plain(step.rows)]

    def by_key(row: dict[str, Any]) -> str:
        return repr(sorted(row.items()))

    assert sorted(found, key=by_key) == sorted(whole, key=by_key)
    assert next(iter(part.steps(2))).position == 3


def test_an_event_without_time_is_refused_and_one_never_known_does_not_count(tables: DeltaTables) -> None:
    tables.append("t", events_of([("a", 7, None, 3), ("a", 8, 99, 3)]))
    assert read(tables, Run(-1, 0, BEFORE_ALL, 60, 0)) == [[], []]
    tables.append("u", pa.concat_tables([events_of([("a", 7, 7, 3)]), _timeless()]))
    with pytest.raises(NullTime, match="'event_ts' of the events"):
        [*window_parts(WINDOW, tables, "u", Run(-1, 0, BEFORE_ALL, 60, 0))[1].steps(0)]


def _timeless() -> pa.Table:
    rows = events_of([("a", 7, 7, 3)])
    return rows.set_column(1, "event_ts", pa.nulls(1, rows["event_ts"].type))


def test_a_column_of_no_times_is_bad_input(tables: DeltaTables) -> None:
    tables.append("t", pa.table({"k": ["a"], "event_ts": [1], "known": [1], "x": [1]}))
    with pytest.raises(BadInput):
        read(tables, Run(-1, 0, BEFORE_ALL, 60, 0))


def test_a_window_needs_no_other_columns() -> None:
    assert columns_of(WINDOW) == ("k", "event_ts", "known", "x")
