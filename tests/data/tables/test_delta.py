from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from tests.contracts.table_store import NOON, TableStoreContract, flights, seen
from tests.data.disks import files_of_at_most

from esteira.base.clock import SimulatedClock
from esteira.base.errors import BadInput, CorruptArtifact, MissingExtra, StorageUnwritable, UnknownScheme
from esteira.data.tables import open_tables
from esteira.data.tables.delta import DeltaTables
from esteira.data.tables.log import CHECKPOINT_EVERY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esteira.base.ports import Clock
    from esteira.data.tables.port import TableStore


class TestDeltaTables(TableStoreContract):
    def open(self, folder: Path, clock: Clock) -> TableStore:
        return open_tables(f"delta:{folder}/the tables", clock=clock)


@pytest.fixture
def tables(tmp_path: Path) -> DeltaTables:
    return DeltaTables(f"delta:{tmp_path}", clock=SimulatedClock(start=NOON))


def data_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)


def log_names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "_delta_log").iterdir()}


def test_the_url_chooses_the_store_and_unknown_ones_are_named() -> None:
    with pytest.raises(UnknownScheme, match="delta"):
        open_tables("iceberg:x")


def test_a_missing_vendor_is_a_missing_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "deltalake", None)
    monkeypatch.delitem(sys.modules, "esteira.data.tables.delta")
    with pytest.raises(MissingExtra, match=r"esteira-ml\[delta\]"):
        open_tables(f"delta:{tmp_path}")


# The log


def test_versions_stay_readable_across_checkpoints(tables: DeltaTables, tmp_path: Path) -> None:
    for at in range(CHECKPOINT_EVERY + 3):
        tables.append("flights", flights(at), token=f"{at}")
    checkpoints = {name for name in log_names(tmp_path / "flights") if "checkpoint.parquet" in name}
    assert checkpoints == {f"{CHECKPOINT_EVERY - 1:020}.checkpoint.parquet"}
    again = DeltaTables(tables.url)
    assert [v.rows for v in again.history("flights")] == list(range(1, CHECKPOINT_EVERY + 4))
    for version in (0, 9, CHECKPOINT_EVERY - 1, CHECKPOINT_EVERY + 2):
        assert again.read("flights", version=version).num_rows == version + 1
        theirs = DeltaTable(tmp_path / "flights", version=version).to_pyarrow_table()
        assert theirs.num_rows == version + 1
    assert again.append("flights", flights(5), token="5").ref == "flights@5"
    assert DeltaTable(tmp_path / "flights").transaction_version("5") == 1


def test_what_a_kill_leaves_in_the_log_is_no_entry(tables: DeltaTables, tmp_path: Path) -> None:
    log = tmp_path / "flights" / "_delta_log"
    log.mkdir(parents=True)
    (log / ".half.tmp").write_text('{"commitInfo":')
    assert tables.names() == []
    tables.append("flights", flights(1))
    assert DeltaTables(tables.url).append("flights", flights(2)).ref == "flights@1"
    assert DeltaTable(tmp_path / "flights").version() == 1


def test_files_outside_the_asked_time_are_not_even_opened(tables: DeltaTables, tmp_path: Path) -> None:
    tables.append("seen", seen(0, 1))
    tables.append("seen", seen(60, 61))
    data_files(tmp_path / "seen")[0].unlink()
    late = [("at", ">=", NOON + timedelta(hours=1))]
    assert tables.read("seen", where=late).num_rows == 2
    with pytest.raises(CorruptArtifact):
        tables.read("seen", where=[("at", "<=", NOON)])


def test_other_readers_of_delta_see_the_same_rows_and_statistics(tables: DeltaTables, tmp_path: Path) -> None:
    tables.append("seen", seen(0, 1, None))
    tables.append("seen", seen(60))
    theirs = DeltaTable(tmp_path / "seen")
    assert theirs.to_pyarrow_table().sort_by("at").equals(tables.read("seen").sort_by("at"))
    assert theirs.count() == 4
    later = NOON + timedelta(minutes=30)
    assert len(theirs.file_uris(file_pruning_predicate=f"at > '{later:%Y-%m-%dT%H:%M:%SZ}'")) == 1


def test_a_commit_of_another_tool_is_counted_and_read(tables: DeltaTables, tmp_path: Path) -> None:
    folder = tmp_path / "flights"
    tables.append("flights", flights(1), token="ours")
    write_deltalake(folder, flights(2), mode="append")
    assert tables.version("flights").rows == 2
    tables.append("flights", flights(3))
    assert sorted(tables.read("flights")["miles"].to_pylist()) == [1, 2, 3]
    DeltaTable(folder).optimize.compact()
    DeltaTable(folder).delete("miles = 2")
    again = DeltaTables(tables.url)
    for store in (tables, again):
        assert [v.rows for v in store.history("flights")] == [1, 2, 3, 3, 2]
        assert sorted(store.read("flights")["miles"].to_pylist()) == [1, 3]
        assert sorted(store.read("flights", version=2)["miles"].to_pylist()) == [1, 2, 3]
        assert store.append("flights", flights(1), token="ours").version == 0
        assert store.check("flights") == []


def test_a_table_with_partitions_is_left_to_the_tool_that_made_it(
    tables: DeltaTables, tmp_path: Path
) -> None:
    write_deltalake(tmp_path / "flights", flights(1), partition_by="carrier")
    assert tables.read("flights")["carrier"].to_pylist() == ["UA"]
    with pytest.raises(BadInput, match="has partitions"):
        tables.append("flights", flights(2))
    assert len(data_files(tmp_path / "flights")) == 0


def test_a_first_column_of_nulls_needs_a_type(tables: DeltaTables) -> None:
    with pytest.raises(BadInput, match="cannot begin with untyped columns: a"):
        tables.append("flights", pa.table({"a": pa.nulls(1)}))
    tables.append("flights", pa.table({"a": [1]}))
    tables.append("flights", pa.table({"a": pa.nulls(1)}))
    assert tables.read("flights")["a"].to_pylist() == [1, None]


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


# Processes

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


def writer(url: str, name: str, appends: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, url, name, str(appends)]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


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


def test_the_machine_dates_versions_when_no_clock_is_given(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    made = DeltaTables(f"delta:{tmp_path}").append("flights", flights(1))
    assert before <= made.committed_at <= datetime.now(UTC)
