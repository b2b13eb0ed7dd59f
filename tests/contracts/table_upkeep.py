"""What every TableStore must do in its upkeep: whatever is tidied, every version reads as before."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contracts.tables import NOON, TableContract, flights, seen

from esteira.base.clock import SimulatedClock
from esteira.base.errors import BadInput, NotFound, UnknownName
from esteira.data.tables.port import SEQUENCE
from esteira.data.tables.schema import TIME, SchemaChanged

if TYPE_CHECKING:
    from esteira.data.tables.port import TableStore

DAY = timedelta(days=1)
GATE = pa.field("gate", pa.string())


def every_version(tables: TableStore, name: str = "flights") -> list[pa.Table]:
    return [tables.read(name, version=each.version) for each in tables.history(name)]


def grown(tables: TableStore, appends: int = 6) -> list[pa.Table]:
    for at in range(appends):
        tables.append("flights", flights(at, at + 0.5), token=f"{at}")
    return every_version(tables)


@dataclass
class Model:
    """A table as a plain list of rows, and what it was at each version."""

    columns: list[str] = field(default_factory=lambda: ["n"])
    rows: list[dict[str, Any]] = field(default_factory=list)
    versions: list[tuple[list[str], int]] = field(default_factory=list)

    def append(self, values: list[int]) -> pa.Table:
        self.rows += [dict.fromkeys(self.columns, value) for value in values]
        if values or not self.versions:
            self.commit()
        return pa.table({name: pa.array(values, pa.int64()) for name in self.columns})

    def evolve(self) -> pa.Schema:
        self.columns = [*self.columns, f"c{len(self.columns)}"]
        self.commit()
        return pa.schema([(name, pa.int64()) for name in self.columns])

    def commit(self) -> None:
        self.versions.append((self.columns, len(self.rows)))

    def at(self, version: int, first: int = 0) -> list[dict[str, Any]]:
        columns, rows = self.versions[version]
        return [{name: row.get(name) for name in columns} for row in self.rows[first:rows]]

    def hold(self, store: TableStore, since: int) -> None:
        """The store says the same of all versions, and of the rows after one."""
        assert len(store.history("numbers")) == len(self.versions)
        for version, (columns, rows) in enumerate(self.versions):
            found = store.read("numbers", version=version)
            assert (found.column_names, found.to_pylist()) == (columns, self.at(version))
            assert store.version("numbers", version).rows == rows
        batches = store.scan("numbers", since=since, size=3)
        new = [row for batch in batches for row in batch.to_pylist()]
        first = self.versions[since][1]
        assert [row.pop(SEQUENCE) for row in new] == [*range(first, len(self.rows))]
        assert new == self.at(-1, first)
        assert store.check("numbers") == []


class TableUpkeepContract(TableContract):
    """Subclass it and give `open`."""

    @settings(max_examples=20, suppress_health_check=[HealthCheck.differing_executors])
    @given(
        st.lists(
            st.lists(st.integers(0, 9), max_size=4)
            | st.sampled_from(["compact", "vacuum", "evolve", "open"]),
            min_size=3,
            max_size=14,
        ),
        st.data(),
    )
    def test_whatever_is_done_every_version_is_what_a_list_of_rows_says(
        self, acts: list[list[int] | str], data: st.DataObject
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            tables, model = self.open(Path(folder), SimulatedClock(start=NOON)), Model()
            tables.append("numbers", model.append([]))
            for act in acts:
                if isinstance(act, list):
                    tables.append("numbers", model.append(act))
                elif act == "evolve":
                    tables.evolve("numbers", model.evolve())
                elif act == "vacuum":
                    tables.vacuum("numbers", older_than=timedelta(0))
                elif act == "open":
                    tables = self.open(Path(folder), SimulatedClock(start=NOON))
                elif tables.compact("numbers", target_bytes=data.draw(st.sampled_from([2_000, 10**9]))):
                    model.commit()
            since = data.draw(st.integers(0, len(model.versions) - 1))
            for store in (tables, self.open(Path(folder), SimulatedClock(start=NOON))):
                model.hold(store, since)

    # Compaction

    def test_many_small_files_become_one_and_every_version_reads_as_before(
        self, tables: TableStore, tmp_path: Path
    ) -> None:
        before = grown(tables)
        assert tables.describe("flights").mergeable == tables.describe("flights").files == 6
        made = tables.compact("flights")
        assert made is not None
        assert (made.ref, made.rows) == ("flights@6", 12)
        assert tables.describe("flights").files == 1
        for store in (tables, self.open(tmp_path, SimulatedClock(start=NOON))):
            assert every_version(store) == [*before, before[-1]]
            assert store.holding("flights", "3") == store.version("flights", 3)
            assert store.check("flights") == []

    def test_a_token_is_kept_through_compaction(self, tables: TableStore, tmp_path: Path) -> None:
        grown(tables)
        tables.compact("flights")
        tables.vacuum("flights", older_than=timedelta(0))
        again = self.open(tmp_path, SimulatedClock(start=NOON))
        for store in (tables, again):
            assert store.append("flights", flights(2, 2.5), token="2").ref == "flights@2"
        assert again.version("flights").rows == 12

    def test_what_is_tidy_is_left_alone(self, tables: TableStore) -> None:
        tables.append("flights", flights(1))
        assert tables.compact("flights") is None
        tables.append("flights", flights(2))
        assert tables.compact("flights") is not None
        assert tables.compact("flights") is None
        assert tables.version("flights").ref == "flights@2"

    def test_files_of_the_target_size_are_not_written_again(self, tables: TableStore) -> None:
        before = grown(tables)
        size = tables.describe("flights").size // 6
        assert tables.compact("flights", target_bytes=size // 2) is None
        assert tables.compact("flights", target_bytes=2 * size + size // 2) is not None
        assert tables.describe("flights").files == 3
        assert every_version(tables)[:6] == before

    def test_times_still_tell_which_files_to_open(self, tables: TableStore) -> None:
        for minutes in ([0, None], [7], [None], [3, 9]):
            tables.append("seen", seen(*minutes))
        where = [("at", ">", NOON + timedelta(minutes=5))]
        before = tables.read("seen", where=where)
        assert before.num_rows == 2
        tables.compact("seen")
        assert tables.read("seen", where=where).equals(before)
        assert tables.read("seen", where=[("at", ">", NOON + timedelta(hours=1))]).num_rows == 0
        assert tables.read("seen", version=1, where=where).num_rows == 1
        (batch,) = tables.scan("seen", where=where)
        assert batch[SEQUENCE].to_pylist() == [2, 5]

    # Retention

    def test_nothing_is_deleted_before_its_time(self, tmp_path: Path) -> None:
        clock = SimulatedClock(start=NOON)
        tables = self.open(tmp_path, clock)
        before = grown(tables)
        tables.compact("flights")
        clock.advance(7 * DAY - timedelta(seconds=1))
        assert tables.vacuum("flights").files == 0
        clock.advance(timedelta(seconds=1))
        assert tables.vacuum("flights").files == 6
        assert tables.vacuum("flights", older_than=timedelta(0)).files == 0
        assert every_version(tables)[:6] == before
        assert every_version(self.open(tmp_path, clock))[:6] == before

    def test_who_vacuums_with_a_span_below_zero_is_refused(self, tables: TableStore) -> None:
        grown(tables)
        with pytest.raises(BadInput, match="0 or more"):
            tables.vacuum("flights", older_than=-DAY)
        with pytest.raises(BadInput, match="at least 1"):
            tables.compact("flights", target_bytes=0)

    # Schema

    def test_declared_columns_are_null_in_older_rows_and_not_there_in_older_versions(
        self, tables: TableStore, tmp_path: Path
    ) -> None:
        before = grown(tables, 2)
        made = tables.evolve("flights", pa.schema([GATE, *before[0].schema]))
        assert (made.ref, made.rows) == ("flights@2", 4)
        new = flights(9).append_column(GATE, pa.array(["B12"]))
        tables.append("flights", new)
        tables.compact("flights")
        for store in (tables, self.open(tmp_path, SimulatedClock(start=NOON))):
            assert every_version(store)[:2] == before
            assert store.read("flights", version=2)["gate"].to_pylist() == [None] * 4
            assert store.read("flights")["gate"].to_pylist() == [None] * 4 + ["B12"]
            assert store.read("flights", where=[("gate", "==", "B12")]).equals(new)
            assert [batch["gate"].to_pylist() for batch in store.scan("flights", since=1)] == [["B12"]]
            with pytest.raises(UnknownName, match="gate"):
                store.read("flights", version=1, columns=["gate"])

    def test_a_declaration_that_says_nothing_new_makes_no_version(self, tables: TableStore) -> None:
        before = grown(tables, 1)[0].schema
        assert tables.evolve("flights", before).ref == "flights@0"
        assert tables.evolve("flights", pa.schema([*before][::-1])).ref == "flights@0"
        assert tables.evolve("flights", pa.schema([*before, GATE])).ref == "flights@1"
        assert tables.evolve("flights", pa.schema([*before, GATE])).ref == "flights@1"

    def test_undeclared_columns_and_missing_ones_are_refused_as_before(self, tables: TableStore) -> None:
        schema = grown(tables, 1)[0].schema
        new = flights(9).append_column(GATE, pa.array(["B12"]))
        with pytest.raises(SchemaChanged, match="gate is new"):
            tables.append("flights", new)
        tables.evolve("flights", pa.schema([*schema, GATE]))
        with pytest.raises(SchemaChanged, match="gate is missing"):
            tables.append("flights", flights(9))

    @pytest.mark.parametrize(
        ("declared", "error", "said"),
        [
            (
                [("miles", pa.float64())],
                SchemaChanged,
                "carrier is missing; keep them and declare a new column",
            ),
            (
                [("miles", pa.int64()), ("carrier", pa.string()), ("gate", pa.string())],
                SchemaChanged,
                "miles is int64, expected double; .* begin a table with another name",
            ),
            (["flights", pa.field("gate", pa.string(), nullable=False)], BadInput, "gate is never null"),
            (["flights", ("gate", pa.null())], BadInput, "untyped columns: gate"),
            (["flights", ("at", pa.timestamp("us"))], BadInput, "column at has no time zone"),
            (["flights", ("Miles", pa.float64())], BadInput, "have one name but for case"),
            (["flights", ("_seq", pa.int64())], BadInput, "column _seq is kept for the positions"),
        ],
    )
    def test_a_schema_that_cannot_follow_is_refused_with_the_mend(
        self, tables: TableStore, declared: list[Any], error: type[Exception], said: str
    ) -> None:
        own = grown(tables, 1)[0].schema
        fields = [*own, *declared[1:]] if declared[0] == "flights" else declared
        with pytest.raises(error, match=said):
            tables.evolve("flights", pa.schema(fields))
        assert tables.version("flights").ref == "flights@0"

    def test_new_columns_come_in_types_that_tables_keep(self, tables: TableStore) -> None:
        own = grown(tables, 1)[0].schema
        rome = pa.timestamp("ms", tz="Europe/Rome")
        tables.evolve("flights", pa.schema([*own, ("at", rome), ("note", pa.large_string())]))
        found = tables.describe("flights").schema
        assert (found.field("at").type, found.field("note").type) == (TIME, pa.string())

    # All of them

    def test_a_table_that_is_not_there_is_named(self, tables: TableStore) -> None:
        tables.append("flights", flights(1))
        for ask in (tables.compact, tables.vacuum, tables.describe):
            with pytest.raises(NotFound, match="'flight' does not exist; there are: flights"):
                ask("flight")
        with pytest.raises(NotFound, match="'flight' does not exist"):
            tables.evolve("flight", pa.schema([GATE]))

    def test_a_description_counts_rows_files_and_bytes(self, tables: TableStore) -> None:
        grown(tables, 3)
        found = tables.describe("flights")
        assert (found.version, found.files, found.is_ours) == (tables.version("flights"), 3, True)
        assert found.schema == flights().schema
        assert found.size > 0
