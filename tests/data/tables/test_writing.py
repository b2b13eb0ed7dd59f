from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from tests.contracts.tables import flights
from tests.data.disks import files_of_at_most
from tests.data.folders import data_files, log_names

from esteira.base.errors import BadInput, StorageUnwritable
from esteira.data.tables import writing
from esteira.data.tables.compaction import merged
from esteira.data.tables.delta import DeltaLibrary, DeltaTables
from esteira.data.tables.log import CHECKPOINT_EVERY
from esteira.data.tables.opened import LibraryRefused
from esteira.data.tables.parquet import write_data_file
from esteira.data.tables.schema import SchemaChanged

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.data.tables.facts import Facts, Merge


def test_a_first_column_of_nulls_needs_a_type(tables: DeltaTables) -> None:
    with pytest.raises(BadInput, match="cannot have untyped columns: a"):
        tables.append("flights", pa.table({"a": pa.nulls(1)}))
    tables.append("flights", pa.table({"a": [1]}))
    tables.append("flights", pa.table({"a": pa.nulls(1)}))
    assert tables.read("flights")["a"].to_pylist() == [1, None]


# Disks


def test_a_store_below_a_regular_file_is_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnwritable, match="free space or choose another folder"):
        DeltaTables(f"delta:{tmp_path}/file/tables").append("flights", flights(1))


def test_a_disk_too_full_for_the_rows_leaves_nothing_behind(tables: DeltaTables, tmp_path: Path) -> None:
    tables.append("flights", flights(1))
    before = data_files(tmp_path / "flights")
    with files_of_at_most(200), pytest.raises(StorageUnwritable, match="too large"):
        tables.append("flights", flights(2), token="full")
    assert data_files(tmp_path / "flights") == before
    assert tables.append("flights", flights(2), token="full").ref == "flights@1"


def test_a_disk_too_full_for_the_commit_leaves_nothing_behind(tables: DeltaTables, tmp_path: Path) -> None:
    tables.append("flights", flights(1))
    before, log = data_files(tmp_path / "flights"), log_names(tmp_path / "flights")
    token = "x" * 20_000
    with files_of_at_most(10_000), pytest.raises(StorageUnwritable, match="File too large"):
        tables.append("flights", flights(2), token=token)
    assert data_files(tmp_path / "flights") == before
    assert log_names(tmp_path / "flights") == log
    assert tables.append("flights", flights(2), token=token).ref == "flights@1"
    assert tables.read("flights").num_rows == 2


def test_a_disk_too_full_for_the_first_commit_leaves_no_table(tables: DeltaTables, tmp_path: Path) -> None:
    with files_of_at_most(10_000), pytest.raises(StorageUnwritable):
        tables.append("flights", flights(1), token="x" * 20_000)
    assert tables.names() == []
    assert data_files(tmp_path / "flights") == []
    assert tables.append("flights", flights(1)).ref == "flights@0"


def test_a_checkpoint_that_did_not_fit_does_not_undo_its_commit(tables: DeltaTables, tmp_path: Path) -> None:
    before = CHECKPOINT_EVERY - 1
    for at in range(before):
        tables.append("flights", flights(at))
    with files_of_at_most(2_500):
        assert tables.append("flights", flights(before)).ref == f"flights@{before}"
    assert not [name for name in log_names(tmp_path / "flights") if "checkpoint" in name]
    assert tables.append("flights", flights(before + 1)).ref == f"flights@{before + 1}"
    assert DeltaTables(tables.url).read("flights")["miles"].to_pylist() == list(range(before + 2))


def test_a_disk_too_full_to_compact_leaves_the_table_as_it_was(tables: DeltaTables, tmp_path: Path) -> None:
    for at in range(4):
        tables.append("flights", pa.table({"n": [(400.0 * at + n) ** 0.5 for n in range(400)]}))
    before, log = data_files(tmp_path / "flights"), log_names(tmp_path / "flights")
    with files_of_at_most(before[0].stat().st_size * 2), pytest.raises(StorageUnwritable, match="too large"):
        tables.compact("flights")
    assert data_files(tmp_path / "flights") == before
    assert log_names(tmp_path / "flights") == log
    assert tables.compact("flights") is not None
    assert tables.read("flights").num_rows == 1600


def test_a_disk_too_full_for_the_commit_of_a_compaction_leaves_the_table_as_it_was(
    tables: DeltaTables, tmp_path: Path
) -> None:
    for at in range(30):
        tables.append("flights", flights(at))
    before, log = data_files(tmp_path / "flights"), log_names(tmp_path / "flights")
    with files_of_at_most(3_000), pytest.raises(StorageUnwritable, match="File too large"):
        tables.compact("flights")
    assert data_files(tmp_path / "flights") == before
    assert log_names(tmp_path / "flights") == log
    assert tables.version("flights").rows == 30


def test_a_checkpoint_that_fails_undoes_neither_compaction_nor_evolution(
    tables: DeltaTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: DeltaLibrary) -> None:
        raise LibraryRefused("no space left")

    monkeypatch.setattr(DeltaLibrary, "checkpoint", refuse)
    for name in ("compacted", "evolved"):
        for at in range(CHECKPOINT_EVERY - 1):
            tables.append(name, flights(at))
    made = tables.compact("compacted")
    assert made is not None
    assert made.version == CHECKPOINT_EVERY - 1
    assert tables.check("compacted") == []
    wider = pa.schema([*flights().schema, ("gate", pa.string())])
    assert tables.evolve("evolved", wider).version == CHECKPOINT_EVERY - 1
    assert not [name for name in log_names(tmp_path / "evolved") if "checkpoint" in name]


# Others at the same time


def test_what_others_append_during_a_compaction_is_kept(
    tables: DeltaTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(4):
        tables.append("flights", flights(at))

    def merge_late(*arguments: Any, **options: Any) -> Merge:
        done = merged(*arguments, **options)
        other = DeltaTables(tables.url)
        other.append("flights", flights(99), token="other")
        other.evolve("flights", pa.schema([*flights().schema, ("gate", pa.string())]))
        return done

    monkeypatch.setattr(writing, "merged", merge_late)
    made = tables.compact("flights")
    assert made is not None
    assert (made.version, made.rows) == (6, 5)
    for store in (tables, DeltaTables(tables.url)):
        assert store.read("flights")["miles"].to_pylist() == [0, 1, 2, 3, 99]
        assert store.describe("flights").files == 2
        assert store.read("flights", version=3).equals(flights(0, 1, 2, 3))


def test_of_two_compactions_at_once_one_gives_way_and_leaves_nothing(
    tables: DeltaTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(4):
        tables.append("flights", flights(at))
    before = data_files(tmp_path / "flights")
    calls = []

    def merge_late(*arguments: Any, **options: Any) -> Merge:
        done = merged(*arguments, **options)
        calls.append(done)
        if len(calls) == 1:
            other = DeltaTables(tables.url)
            assert other.compact("flights") is not None
            assert other.vacuum("flights", older_than=timedelta(0)).files == 4
        return done

    monkeypatch.setattr(writing, "merged", merge_late)
    assert tables.compact("flights") is None
    (left,) = data_files(tmp_path / "flights")
    assert left not in before
    assert tables.read("flights")["miles"].to_pylist() == [0, 1, 2, 3]


def test_an_append_from_before_an_evolution_is_refused_not_guessed(
    tables: DeltaTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.append("flights", flights(1))
    wider = pa.schema([*flights().schema, ("gate", pa.string())])

    def write_late(*arguments: Any, **options: Any) -> Facts:
        DeltaTables(tables.url).evolve("flights", wider)
        return write_data_file(*arguments, **options)

    monkeypatch.setattr(writing, "write_data_file", write_late)
    with pytest.raises(SchemaChanged, match="gate is missing"):
        tables.append("flights", flights(2))
    assert tables.version("flights").rows == 1


def test_many_who_evolve_at_once_end_with_one_schema(tables: DeltaTables) -> None:
    tables.append("flights", flights(1))
    wider = pa.schema([*flights().schema, ("gate", pa.string())])
    with ThreadPoolExecutor(4) as pool:
        made = {*pool.map(lambda _: DeltaTables(tables.url).evolve("flights", wider).ref, range(8))}
    assert made == {"flights@1"}
    assert tables.describe("flights").schema == wider


# Processes

DIES = """
import os, signal, sys
from esteira.data.tables import open_tables, opened, writing

def die_at(owner, name, after):
    kept = getattr(owner, name)
    def act(*arguments, **options):
        if not after:
            os.kill(os.getpid(), signal.SIGKILL)
        kept(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(owner, name, act)

owner = {"merged": writing, "publish": opened}[sys.argv[2]]
die_at(owner, sys.argv[2], sys.argv[3] == "after")
open_tables(sys.argv[1]).compact("flights", target_bytes=int(sys.argv[4]))
"""


@pytest.mark.slow
def test_a_compaction_killed_at_any_point_leaves_a_good_table(tables: DeltaTables, tmp_path: Path) -> None:
    folder = tmp_path / "flights"
    for at in range(CHECKPOINT_EVERY - 1):
        tables.append("flights", flights(at))
    target = 10 * tables.describe("flights").size // (CHECKPOINT_EVERY - 1)
    points = [("merged", "before"), ("merged", "after"), ("publish", "before"), ("publish", "after")]
    for point in points:
        command = [sys.executable, "-c", DIES, tables.url, *point, str(target)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        store = DeltaTables(tables.url)
        for version in (0, 30, CHECKPOINT_EVERY - 2, None):
            rows = store.version("flights", version).rows
            assert store.read("flights", version=version)["miles"].to_pylist() == [*range(rows)]
        assert store.check("flights") == []
    assert tables.version("flights").version == CHECKPOINT_EVERY - 1  # the last was killed after its commit
    for path in folder.glob("*.parquet"):
        os.utime(path, (0, 0))
    assert len(data_files(folder)) > tables.describe("flights").files
    DeltaTables(tables.url).vacuum("flights", older_than=timedelta(0))  # by the clock of those that died
    assert len(data_files(folder)) == tables.describe("flights").files
    tables.append("flights", flights(CHECKPOINT_EVERY - 1))
    assert tables.read("flights")["miles"].to_pylist() == [*range(CHECKPOINT_EVERY)]
    assert DeltaTable(folder).to_pyarrow_table().num_rows == CHECKPOINT_EVERY


TIDIES = """
import sys
from datetime import timedelta
from esteira.data.tables import open_tables
tables = open_tables(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
made = 0
while tables.version("flights").rows < int(sys.argv[2]):
    made += tables.compact("flights") is not None
    tables.vacuum("flights", older_than=timedelta(0))
print(made)
"""


@pytest.mark.slow
def test_processes_that_append_tidy_and_read_at_once_get_along(tables: DeltaTables) -> None:
    tables.append("flights", pa.table({"writer": ["none"], "at": [-1]}))
    writers = [writer(tables.url, name, 25) for name in ("one", "two")]
    keepers = [started([TIDIES, tables.url, "51"]) for _ in range(2)]
    for each in (*writers, *keepers):
        go(each)
    rows, looked = 0, 0
    while rows < 51:
        newest = tables.version("flights")
        found = [row for batch in tables.scan("flights", size=16) for row in batch.to_pylist()]
        assert [row["_seq"] for row in found] == [*range(len(found))]
        assert len(found) >= newest.rows
        for name in ("one", "two"):
            ats = [row["at"] for row in found if row["writer"] == name]
            assert ats == [*range(len(ats))]
        rows, looked = len(found), looked + 1
    assert looked > 1
    for each in writers:
        each.communicate()
    assert sum(int(each.communicate()[0]) for each in keepers) > 1
    assert [each.returncode for each in (*writers, *keepers)] == [0] * 4
    assert tables.check("flights") == []


WRITER = """
import sys
import pyarrow as pa
from esteira.data.tables import open_tables
tables = open_tables(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for at in range(int(sys.argv[3])):
    tables.append("flights", pa.table({"writer": [sys.argv[2]], "at": [at]}), token=f"{sys.argv[2]} {at}")
    print(at, flush=True)
"""


def started(script: list[str]) -> subprocess.Popen[str]:
    """A process that is ready to go."""
    command = [sys.executable, "-c", *script]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def writer(url: str, name: str, appends: int) -> subprocess.Popen[str]:
    return started([WRITER, url, name, str(appends)])


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.mark.slow
def test_two_processes_at_once_lose_no_rows(tmp_path: Path) -> None:
    writers = [writer(f"delta:{tmp_path}", name, 25) for name in ("one", "two")]
    for each in writers:
        go(each)
    for each in writers:
        each.communicate()
        assert each.returncode == 0
    tables = DeltaTables(f"delta:{tmp_path}")
    rows = tables.read("flights").to_pylist()
    assert len(rows) == tables.version("flights").rows == 50
    for name in ("one", "two"):  # each writer's rows in its own order
        assert [row["at"] for row in rows if row["writer"] == name] == list(range(25))


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", [5, 40, 90, 150])
def test_a_killed_writer_leaves_a_whole_table_that_the_same_calls_complete(
    tmp_path: Path, milliseconds: int
) -> None:
    tables = DeltaTables(f"delta:{tmp_path}")
    process = writer(tables.url, "one", 40)
    go(process)
    time.sleep(milliseconds / 1000)
    process.kill()
    said, _ = process.communicate()
    kept = tables.version("flights").rows if tables.names() else 0
    assert len(said.split()) <= kept <= len(said.split()) + 1
    for at in range(40):
        tables.append("flights", pa.table({"writer": ["one"], "at": [at]}), token=f"one {at}")
    assert tables.read("flights")["at"].to_pylist() == list(range(40))
    assert tables.check("flights") == []
    assert tables.version("flights").rows == 40
