from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.contracts.tables import NOON, flights, seen
from tests.data.folders import data_files

from esteira.base.errors import CorruptArtifact
from esteira.data.tables import reading, scanning
from esteira.data.tables.delta import DeltaTables
from esteira.data.tables.log import CHECKPOINT_EVERY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esteira.data.tables.scanning import Extent
    from esteira.data.tables.where import Question


def test_files_outside_the_asked_time_are_not_even_opened(tables: DeltaTables, tmp_path: Path) -> None:
    tables.append("seen", seen(0, 1))
    tables.append("seen", seen(60, 61))
    data_files(tmp_path / "seen")[0].unlink()
    late = [("at", ">=", NOON + timedelta(hours=1))]
    assert tables.read("seen", where=late).num_rows == 2
    with pytest.raises(CorruptArtifact):
        tables.read("seen", where=[("at", "<=", NOON)])


# Damage


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    os.truncate(path, 100)


def flip(path: Path) -> None:
    """Change one byte of a value, and nothing that a reader without checksums would miss."""
    content = bytearray(path.read_bytes())
    content[content.index(b"carrier-of-a-flight")] ^= 0x01
    path.write_bytes(content)


@pytest.mark.parametrize(("damage", "found"), [(remove, "nothing"), (truncate, "100 bytes"), (flip, "")])
def test_a_damaged_file_is_refused_on_read_and_named_by_check(
    tables: DeltaTables, tmp_path: Path, damage: Callable[[Path], None], found: str
) -> None:
    tables.append("flights", pa.table({"carrier": ["carrier-of-a-flight"]}))
    tables.append("flights", pa.table({"carrier": ["UA"]}))
    path = data_files(tmp_path / "flights")[0]
    damage(path)
    with pytest.raises(CorruptArtifact, match=path.name) as caught:
        tables.read("flights")
    assert found in caught.value.found
    problems = DeltaTables(tables.url).check("flights")
    assert len(problems) == 1
    assert path.name in problems[0]
    with pytest.raises(CorruptArtifact):
        tables.read("flights", where=[("carrier", "!=", "UA")])


def test_a_torn_log_is_refused_and_named_by_check(tables: DeltaTables, tmp_path: Path) -> None:
    for at in range(3):
        tables.append("flights", flights(at))
    truncate(tmp_path / "flights" / "_delta_log" / f"{1:020}.json")
    again = DeltaTables(tables.url)
    with pytest.raises(CorruptArtifact, match="log of table flights") as caught:
        again.version("flights")
    assert "\n" not in str(caught.value)
    assert again.check("flights") == [str(caught.value)]
    assert len(tables.check("flights")) == 1  # although this store had read it when it was whole


@pytest.mark.parametrize("lost", [1, CHECKPOINT_EVERY + 1])
def test_a_lost_log_entry_is_refused(tables: DeltaTables, tmp_path: Path, lost: int) -> None:
    for at in range(CHECKPOINT_EVERY + 3):
        tables.append("flights", flights(at))
    (tmp_path / "flights" / "_delta_log" / f"{lost:020}.json").unlink()
    assert len(tables.check("flights")) == 1
    with pytest.raises(CorruptArtifact, match="log of table flights"):
        DeltaTables(tables.url).read("flights")


# Files that go away under a reader


def tidy(url: str) -> None:
    """Another store merges all files and deletes those that were."""
    store = DeltaTables(url)
    assert store.compact("flights") is not None
    assert store.vacuum("flights", older_than=timedelta(0)).files > 1


def test_a_scan_goes_on_where_it_was_when_its_files_are_gone(tables: DeltaTables) -> None:
    for at in range(80):  # more than a scan opens ahead
        tables.append("flights", flights(at, at))
    before = tables.read("flights")
    batches = tables.scan("flights", version=69, size=1)
    first = [next(batches) for _ in range(5)]
    tidy(tables.url)
    tables.append("flights", flights(1))
    found = pa.concat_tables([*first, *batches])
    assert found["_seq"].to_pylist() == [*range(140)]
    assert found.drop_columns(["_seq"]).equals(before.slice(0, 140))


def test_a_conditional_scan_goes_on_after_the_rows_that_it_left_out(tables: DeltaTables) -> None:
    for at in range(80):
        tables.append("flights", flights(at))
    batches = tables.scan("flights", where=[("miles", "in", [3, 75])], size=1)
    assert next(batches)["_seq"].to_pylist() == [3]
    tidy(tables.url)
    assert [batch["_seq"].to_pylist() for batch in batches] == [[75]]


def test_a_read_begins_again_when_its_files_are_gone(
    tables: DeltaTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(3):
        tables.append("flights", flights(at))
    calls = []

    def read_late(extent: Extent, asked: Question) -> pa.Table:
        if not calls:
            tidy(tables.url)
        calls.append(extent)
        return scanning.read(extent, asked)

    monkeypatch.setattr(reading, "read", read_late)
    assert tables.read("flights", version=1)["miles"].to_pylist() == [0, 1]
    assert [len(extent.files) for extent in calls] == [2, 1]


def test_a_merged_file_that_is_lost_is_refused_and_named_by_check(
    tables: DeltaTables, tmp_path: Path
) -> None:
    for at in range(3):
        tables.append("flights", flights(at))
    tidy(tables.url)
    (path,) = data_files(tmp_path / "flights")
    path.unlink()
    for version in (None, 0):
        with pytest.raises(CorruptArtifact, match=path.name):
            tables.read("flights", version=version)
    with pytest.raises(CorruptArtifact, match=path.name):
        [*tables.scan("flights")]
    assert len(tables.check("flights")) == 1


@pytest.mark.slow
def test_readers_of_any_version_never_notice_who_tidies_beside_them(tables: DeltaTables) -> None:
    done = threading.Event()

    def grow() -> None:
        store = DeltaTables(tables.url)
        for at in range(1, 80):
            store.append("flights", flights(at))
        done.set()

    def keep_tidy(wait: float) -> int:
        store, made = DeltaTables(tables.url), 0
        while not done.wait(wait):
            made += store.compact("flights") is not None
            store.vacuum("flights", older_than=timedelta(0))
        return made

    def look() -> int:
        store, seen_rows = DeltaTables(tables.url), 0
        while not done.is_set():
            newest = store.version("flights").version
            for version in (newest, newest // 2, 0):
                rows = store.version("flights", version).rows
                assert store.read("flights", version=version)["miles"].to_pylist() == [*range(rows)]
            scanned = [n for batch in store.scan("flights", size=7) for n in batch["_seq"].to_pylist()]
            assert scanned == [*range(len(scanned))]
            seen_rows = max(seen_rows, len(scanned))
        return seen_rows

    tables.append("flights", flights(0))
    with ThreadPoolExecutor(5) as pool:
        keepers = [pool.submit(keep_tidy, wait) for wait in (0.02, 0.05)]
        lookers = [pool.submit(look) for _ in range(2)]
        pool.submit(grow).result()
        assert sum(each.result() for each in keepers) > 1
        assert min(each.result() for each in lookers) > 1
    assert tables.read("flights")["miles"].to_pylist() == [*range(80)]
    assert tables.check("flights") == []
