from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from tests.contracts.table_scan import TableScanContract
from tests.contracts.table_store import TableStoreContract
from tests.contracts.table_upkeep import TableUpkeepContract
from tests.contracts.tables import NOON, flights, seen
from tests.data.folders import data_files, log_names

from esteira.base.errors import BadInput, MissingExtra, UnknownScheme
from esteira.data.tables import open_tables
from esteira.data.tables.delta import DeltaTables
from esteira.data.tables.log import CHECKPOINT_EVERY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esteira.base.ports import Clock
    from esteira.data.tables.port import TableStore


class TestDeltaTables(TableStoreContract, TableScanContract, TableUpkeepContract):
    def open(self, folder: Path, clock: Clock) -> TableStore:
        return open_tables(f"delta:{folder}/the tables", clock=clock)


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


def test_other_readers_of_delta_see_the_same_rows_and_statistics(tables: DeltaTables, tmp_path: Path) -> None:
    tables.append("seen", seen(0, 1, None))
    tables.append("seen", seen(60))
    theirs = DeltaTable(tmp_path / "seen")
    assert theirs.to_pyarrow_table().sort_by("at").equals(tables.read("seen").sort_by("at"))
    assert theirs.count() == 4
    later = NOON + timedelta(minutes=30)
    assert len(theirs.file_uris(file_pruning_predicate=f"at > '{later:%Y-%m-%dT%H:%M:%SZ}'")) == 1


def test_tidied_tables_open_from_their_checkpoints_with_all_that_they_were(
    tables: DeltaTables, tmp_path: Path
) -> None:
    for at in range(CHECKPOINT_EVERY - 2):
        tables.append("flights", flights(at), token=f"{at}")
    schema = pa.schema([*flights().schema, ("gate", pa.string())])
    assert tables.evolve("flights", schema).version == CHECKPOINT_EVERY - 2
    made = tables.compact("flights")
    assert made is not None
    assert made.version == CHECKPOINT_EVERY - 1  # the one with the checkpoint
    assert f"{made.version:020}.checkpoint.parquet" in log_names(tmp_path / "flights")
    tables.vacuum("flights", older_than=timedelta(0))
    tables.append("flights", flights(99).append_column("gate", pa.array(["B12"])), token="99")
    theirs = DeltaTable(tmp_path / "flights")
    assert len(theirs.file_uris()) == len(data_files(tmp_path / "flights")) == 2
    assert theirs.to_pyarrow_table().sort_by("miles").equals(tables.read("flights"))
    assert (theirs.transaction_version("7"), theirs.transaction_version("99")) == (1, 1)
    again = DeltaTables(tables.url)
    assert again.history("flights") == tables.history("flights")
    assert again.holding("flights", "7") == again.version("flights", 7)
    assert again.read("flights", version=7).equals(flights(*range(8)))
    assert again.check("flights") == []


def test_other_readers_see_the_same_rows_after_each_act(tables: DeltaTables, tmp_path: Path) -> None:
    def same() -> None:
        theirs = DeltaTable(tmp_path / "flights")
        assert theirs.version() == tables.version("flights").version
        assert theirs.to_pyarrow_table().sort_by("miles").equals(tables.read("flights"))

    for at in range(5):
        tables.append("flights", flights(at))
    open_since_before = DeltaTable(tmp_path / "flights")
    tables.compact("flights")
    same()
    tables.evolve("flights", pa.schema([*flights().schema, ("gate", pa.string())]))
    same()
    tables.vacuum("flights", older_than=timedelta(0))
    same()
    open_since_before.update_incremental()
    assert open_since_before.to_pyarrow_table().num_rows == 5


def test_another_tool_can_append_to_a_tidied_table_and_its_past_stays(
    tables: DeltaTables, tmp_path: Path
) -> None:
    for at in range(4):
        tables.append("flights", flights(at))
    tables.compact("flights")
    tables.vacuum("flights", older_than=timedelta(0))
    write_deltalake(tmp_path / "flights", flights(9), mode="append")
    tables.append("flights", flights(10))
    for store in (tables, DeltaTables(tables.url)):
        assert store.read("flights")["miles"].to_pylist() == [0, 1, 2, 3, 9, 10]
        assert store.read("flights", version=1)["miles"].to_pylist() == [0, 1]
        assert [batch["_seq"].to_pylist() for batch in store.scan("flights", since=1)] == [[2, 3, 4, 5]]
        assert [batch["_seq"].to_pylist() for batch in store.scan("flights", since=5)] == [[5]]
        assert not store.describe("flights").is_ours


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (
            lambda tables: tables.compact("flights"),
            r"compact it there: .* optimize\.compact\(\) of DeltaTable",
        ),
        (lambda tables: tables.vacuum("flights"), r"vacuum it there: .* vacuum\(\) of DeltaTable"),
        (
            lambda tables: tables.evolve("flights", flights().schema),
            r"evolve it there: .* alter\.add_columns\(\) of DeltaTable",
        ),
    ],
)
def test_the_upkeep_of_a_table_where_another_tool_commits_is_left_to_it(
    tables: DeltaTables, tmp_path: Path, act: Callable[[DeltaTables], object], said: str
) -> None:
    tables.append("flights", flights(1))
    write_deltalake(tmp_path / "flights", flights(2), mode="append")
    with pytest.raises(BadInput, match=said):
        act(tables)
    assert tables.version("flights").version == 1


def test_what_came_since_is_refused_once_another_tool_has_changed_rows(
    tables: DeltaTables, tmp_path: Path
) -> None:
    for at in range(3):
        tables.append("flights", flights(at))
    DeltaTable(tmp_path / "flights").delete("miles = 0")
    assert [batch["miles"].to_pylist() for batch in tables.scan("flights")] == [[1, 2]]
    with pytest.raises(BadInput, match="another tool has changed rows of flights@1 by flights@3; read all"):
        tables.scan("flights", since=1)


def test_positions_are_refused_where_another_tool_has_a_column_of_that_name(
    tables: DeltaTables, tmp_path: Path
) -> None:
    write_deltalake(tmp_path / "flights", flights(1).rename_columns(["_seq", "carrier"]))
    assert tables.read("flights").num_rows == 1
    with pytest.raises(BadInput, match="column _seq, which another tool made"):
        tables.scan("flights")


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


def test_the_machine_dates_versions_when_no_clock_is_given(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    made = DeltaTables(f"delta:{tmp_path}").append("flights", flights(1))
    assert before <= made.committed_at <= datetime.now(UTC)
