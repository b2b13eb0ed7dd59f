"""The parts of the feature benchmark, on worlds that take no time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from benchmarks.features import Joined
from benchmarks.parts.joins import WAYS, digest
from benchmarks.parts.oracle import compare
from benchmarks.parts.reads import materialized, shapes
from benchmarks.parts.worlds import World, read_world, write_world

from esteira.features.stores import open_store

if TYPE_CHECKING:
    from pathlib import Path

SMALL = World(questions=60, rows=90, entities=12, views=2, features=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_world(SMALL, tmp_path)
    return tmp_path


def test_every_way_of_ours_gives_the_same_bytes_and_bare_ways_as_many_rows(folder: Path) -> None:
    found = {way: WAYS[way](folder) for way in WAYS if way != "shards"}
    assert len({digest(found[way]) for way in ("numpy", "duckdb", "polars")}) == 1
    assert {len(table) for table in found.values()} == {SMALL.questions}


def test_a_wrong_cell_would_change_the_digest(folder: Path) -> None:
    found = WAYS["numpy"](folder)
    assert digest(found) != digest(found.slice(1))
    assert digest(found) == digest(found.take(list(range(len(found)))))


def test_cells_are_counted_and_none_is_wrong() -> None:
    compared, wrong = compare("numpy:", 1_500)
    assert compared >= 1_500
    assert wrong == 0


def test_reads_are_timed_for_every_shape(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.parts.reads.TURNS", 3)
    monkeypatch.setattr("benchmarks.parts.reads.WARM_UP", 1)
    _, views = read_world(folder)
    store = open_store("memory:")
    assert materialized(store, views) > 0
    assert set(store.views()) == {"v0", "v1"}
    taken = shapes(store, views, list(range(200)))
    assert set(taken) == {"1x1", "10x1", "100x1", "1x2", "10x2", "100x2"}
    assert all(min(each) > 0 for each in taken.values())


def test_a_way_is_told_by_the_median_of_its_rounds() -> None:
    said = {"seconds": [3.0, 1.0, 2.0], "peak_bytes": 7, "rows": 5}
    assert Joined.of(said) == Joined(2.0, 7, 5)
