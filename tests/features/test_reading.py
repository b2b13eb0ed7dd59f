"""What a materialization reads, and from where it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.features.histories import events_of

from esteira.data.tables.delta import DeltaTables
from esteira.features import reading
from esteira.features.ledger import BEFORE_ALL, Run
from esteira.features.reading import Part, Source, plain_parts, portions
from esteira.features.views import FeatureView

if TYPE_CHECKING:
    from pathlib import Path

VIEW = FeatureView("v", ("k",), ("x",), "t", created_time="known")


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeltaTables:
    """Ten rows in three commits, event and known at their positions."""
    monkeypatch.setattr(reading, "BATCH", 4)
    tables = DeltaTables(f"delta:{tmp_path}")
    for first, last in ((0, 3), (3, 6), (6, 10)):
        tables.append("t", events_of([("a", at, at, at) for at in range(first, last)]))
    return tables


def read(parts: list[Part], position: int = 0) -> list[list[int]]:
    return [[x for step in part.steps(position) for x in step.rows["x"].to_pylist()] for part in parts]


def test_the_first_run_reads_all_that_is_known_by_its_end(tables: DeltaTables) -> None:
    (part,) = plain_parts(VIEW, tables, Run(-1, 2, BEFORE_ALL, 7, 0), None)
    assert read([part]) == [[0, 1, 2, 3, 4, 5, 6, 7]]
    assert part.size == 10
    steps = [*part.steps(0)]
    assert [(step.position, step.done) for step in steps] == [(4, 4), (8, 8), (10, 10)]
    assert [step.due for step in steps] == [None, None, 8]


def test_the_next_run_reads_what_came_since_and_what_is_due(tables: DeltaTables) -> None:
    run = Run(1, 2, 3, 8, 0)
    new, *old = plain_parts(VIEW, tables, run, 4)
    assert read([new]) == [[6, 7, 8]]
    assert read(old) == [[4, 5], []]  # by event time, and by created time of those that had happened
    assert plain_parts(VIEW, tables, run, 9)[1:] == []  # nothing is due
    assert plain_parts(VIEW, tables, Run(2, 2, 3, 8, 0), None) == []


@pytest.mark.parametrize("position", range(11))
def test_from_every_position_the_rest_is_read_and_no_older_commit(
    tables: DeltaTables, position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    scan = tables.scan
    monkeypatch.setattr(tables, "scan", lambda name, **given: asked.append(given) or scan(name, **given))
    (part,) = plain_parts(VIEW, tables, Run(-1, 2, BEFORE_ALL, 99, 0), None)
    assert read([part], position) == [list(range(position, 10))]
    assert asked[0]["since"] == (None if position < 3 else 0 if position < 6 else 1 if position < 10 else 2)


def test_rows_of_one_source_between_two_versions_are_counted(tables: DeltaTables) -> None:
    source = Source(tables, "t", 0, 2)
    assert (source.rows_at(-1), source.rows_at(0), source.rows_at(2)) == (0, 3, 10)
    assert [batch["x"].to_pylist() for batch in source.scan(("x", "x"), ())] == [[3, 4, 5, 6], [7, 8, 9]]


def test_rows_to_store_come_in_portions_of_a_batch(tables: DeltaTables) -> None:
    rows = tables.read("t")
    assert [portion["x"].to_pylist() for portion in portions(rows)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [*portions(rows.slice(0, 0))] == []
