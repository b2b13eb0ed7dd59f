"""What every TableStore must do."""

from __future__ import annotations

import math
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contracts.tables import NOON, TableContract, flights, seen

from esteira.base.clock import SimulatedClock, from_micros
from esteira.base.errors import BadInput, NaiveTime, NotFound, UnknownName
from esteira.data.tables.schema import TIME, SchemaChanged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.data.tables.port import TableStore


class TableStoreContract(TableContract):
    # Versions

    def test_a_table_begins_with_its_first_rows(self, tables: TableStore) -> None:
        made = tables.append("flights", flights(500, 1400))
        assert (made.ref, made.rows, made.committed_at) == ("flights@0", 2, NOON)
        assert tables.read("flights").equals(flights(500, 1400))

    def test_the_name_of_no_table_is_listed_and_all_others_are(self, tables: TableStore) -> None:
        assert tables.names() == []
        for name in ("weather", "flights", "flights_quarantine"):
            tables.append(name, flights(1))
        assert tables.names() == ["flights", "flights_quarantine", "weather"]

    def test_each_append_makes_a_version_that_counts_all_rows(self, tmp_path: Path) -> None:
        clock = SimulatedClock(start=NOON)
        tables = self.open(tmp_path, clock)
        for miles in ([1.0], [2.0, 3.0], [4.0]):
            tables.append("flights", flights(*miles))
            clock.advance(timedelta(days=1))
        history = tables.history("flights")
        assert [(v.ref, v.rows) for v in history] == [("flights@0", 1), ("flights@1", 3), ("flights@2", 4)]
        assert [v.committed_at for v in history] == [NOON + timedelta(days=day) for day in range(3)]
        assert tables.version("flights") == history[-1]
        assert tables.version("flights", 1) == history[1]

    @settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(st.lists(st.lists(st.floats(allow_nan=False) | st.none(), max_size=4), min_size=1, max_size=6))
    def test_every_version_reads_as_what_was_appended_until_then_in_that_order(
        self, batches: list[list[float | None]]
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            tables = self.open(Path(folder), SimulatedClock(start=NOON))
            expected: dict[int, list[float | None]] = {}
            so_far: list[float | None] = []
            for batch in batches:
                made = tables.append("flights", flights(*batch))
                so_far = so_far + batch
                expected[made.version] = so_far
                assert made.rows == len(so_far)
            again = self.open(Path(folder), SimulatedClock(start=NOON))
            for store in (tables, again):
                for version, rows in expected.items():
                    assert store.read("flights", version=version)["miles"].to_pylist() == rows

    def test_no_rows_make_no_version_but_can_begin_a_table(self, tables: TableStore) -> None:
        assert tables.append("flights", flights()).ref == "flights@0"
        assert tables.read("flights").equals(flights())
        assert tables.append("flights", flights(1)).ref == "flights@1"
        assert tables.append("flights", flights(), token="empty").ref == "flights@1"
        assert tables.read("flights")["miles"].to_pylist() == [1]

    # Tokens

    def test_the_same_token_twice_is_one_append(self, tables: TableStore, tmp_path: Path) -> None:
        first = tables.append("flights", flights(1), token="january")
        tables.append("flights", flights(2), token="february")
        assert tables.append("flights", flights(1), token="january") == first
        again = self.open(tmp_path, SimulatedClock(start=NOON))
        assert again.append("flights", flights(1), token="january") == first
        assert again.holding("flights", "january") == first
        assert tables.read("flights")["miles"].to_pylist() == [1, 2]

    def test_a_token_that_comes_again_with_other_rows_is_spoken_of(
        self, tables: TableStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        tables.append("flights", flights(1), token="january")
        tables.append("flights", flights(1), token="january")
        assert caplog.records == []
        assert tables.append("flights", flights(1, 2), token="january").rows == 1
        assert [record.levelname for record in caplog.records] == ["WARNING"]

    def test_a_token_counts_for_its_table_only(self, tables: TableStore) -> None:
        tables.append("flights", flights(1), token="january")
        assert tables.append("weather", flights(2), token="january").ref == "weather@0"
        assert tables.holding("flights", "february") is None
        assert tables.holding("planes", "january") is None

    def test_the_first_append_of_a_table_holds_its_token(self, tables: TableStore) -> None:
        tables.append("flights", flights(1), token="january")
        assert tables.append("flights", flights(1), token="january").rows == 1

    # Several writers

    def test_one_store_sees_what_another_appends(self, tables: TableStore, tmp_path: Path) -> None:
        other = self.open(tmp_path, SimulatedClock(start=NOON))
        tables.append("flights", flights(1))
        assert other.read("flights")["miles"].to_pylist() == [1]
        other.append("flights", flights(2))
        assert tables.version("flights").ref == "flights@1"
        tables.append("flights", flights(3))
        assert other.read("flights")["miles"].to_pylist() == [1, 2, 3]

    def test_writers_at_once_lose_no_rows_and_share_no_version(self, tmp_path: Path) -> None:
        def write(writer: int) -> list[int]:
            tables = self.open(tmp_path, SimulatedClock(start=NOON))
            numbers = [100.0 * writer + at for at in range(12)]
            return [tables.append("flights", flights(number)).version for number in numbers]

        with ThreadPoolExecutor(3) as pool:
            versions = [version for made in pool.map(write, range(3)) for version in made]
        assert sorted(versions) == list(range(36))
        rows = self.open(tmp_path, SimulatedClock(start=NOON)).read("flights")["miles"].to_pylist()
        assert sorted(rows) == [100.0 * writer + at for writer in range(3) for at in range(12)]

    def test_one_token_from_many_writers_at_once_is_one_append(self, tmp_path: Path) -> None:
        def write(_: int) -> list[int]:
            tables = self.open(tmp_path, SimulatedClock(start=NOON))
            return [tables.append("flights", flights(at), token=f"day {at}").version for at in range(6)]

        with ThreadPoolExecutor(3) as pool:
            one, two, three = pool.map(write, range(3))
        assert one == two == three
        rows = self.open(tmp_path, SimulatedClock(start=NOON)).read("flights")["miles"].to_pylist()
        assert rows == [0, 1, 2, 3, 4, 5]

    def test_of_two_writers_who_begin_a_table_differently_one_is_refused(self, tmp_path: Path) -> None:
        def write(rows: pa.Table) -> str:
            try:
                return self.open(tmp_path, SimulatedClock(start=NOON)).append("flights", rows).ref
            except SchemaChanged:
                return "refused"

        with ThreadPoolExecutor(2) as pool:
            said = sorted(pool.map(write, [flights(1), seen(1)]))
        assert said == ["flights@0", "refused"]

    # Reading

    def test_only_the_asked_columns_come_in_the_asked_order(self, tables: TableStore) -> None:
        tables.append("flights", flights(1))
        assert tables.read("flights", columns=["carrier", "miles"]).column_names == ["carrier", "miles"]
        with pytest.raises(UnknownName, match="did you mean 'miles'"):
            tables.read("flights", columns=["mile"])

    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            ([("n", ">", 1)], [2, 3]),
            ([("n", "!=", 1), ("n", "<=", 2)], [0, 2]),
            ([("n", "in", [0, 3])], [0, 3]),
            ([("n", "not in", {0, 3})], [1, 2]),
            ([("at", "==", NOON)], [0]),
            ([("at", ">=", NOON + timedelta(minutes=5))], [1, 2]),
            ([("at", "<", NOON)], []),
            ([("at", "in", [NOON.astimezone(), NOON + timedelta(minutes=9)])], [0, 2]),
        ],
    )
    def test_only_rows_for_which_all_holds_are_read(
        self, tables: TableStore, where: Sequence[tuple[str, str, Any]], expected: list[int]
    ) -> None:
        tables.append("seen", seen(0, 5, 9, None))
        assert tables.read("seen", where=where)["n"].to_pylist() == expected

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(
        st.lists(st.lists(st.integers(0, 40) | st.none(), min_size=1, max_size=3), min_size=1, max_size=4),
        st.sampled_from(["<", "<=", "==", "!=", ">=", ">"]),
        st.integers(0, 40),
    )
    def test_looking_up_by_time_is_filtering_all_rows(
        self, batches: list[list[int | None]], sign: str, micros: int
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            tables = self.open(Path(folder), SimulatedClock(start=NOON))
            for batch in batches:
                tables.append("seen", pa.table({"at": pa.array(batch, pa.int64()).cast(TIME)}))
            compare = {
                "<": pc.less,
                "<=": pc.less_equal,
                "==": pc.equal,
                "!=": pc.not_equal,
                ">=": pc.greater_equal,
                ">": pc.greater,
            }[sign]
            everything = tables.read("seen")
            wanted = everything.filter(compare(everything["at"], from_micros(micros)))
            assert tables.read("seen", where=[("at", sign, from_micros(micros))]).equals(wanted)

    @pytest.mark.parametrize(
        ("where", "said"),
        [
            (("m", "==", 1), "unknown column"),
            (("n", "~", 1), "not a valid operator"),
            (("n", "in", 1), "n"),
            (("n", "==", "one"), "n"),
            (("at", "==", datetime(2013, 7, 1)), "no time zone"),  # noqa: DTZ001 - a time without a zone is what is tried
        ],
    )
    def test_a_condition_that_makes_no_sense_is_refused(
        self, tables: TableStore, where: tuple[str, str, Any], said: str
    ) -> None:
        tables.append("seen", seen(0))
        with pytest.raises(BadInput, match=said):
            tables.read("seen", where=[where])

    def test_what_does_not_exist_is_said_with_what_does(self, tables: TableStore) -> None:
        tables.append("flights", flights(1))
        for ask in (tables.read, tables.version, tables.history, tables.check):
            with pytest.raises(NotFound, match=r"'flight' does not exist; there are: flights"):
                ask("flight")
        for number in (1, -1):
            with pytest.raises(NotFound, match="the newest is flights@0"):
                tables.read("flights", version=number)

    @pytest.mark.parametrize("name", ["", "../flights", "a/b", "1st", "a b", "ã", "x" * 101])
    def test_a_name_that_could_leave_the_store_is_refused(self, tables: TableStore, name: str) -> None:
        with pytest.raises(BadInput, match="cannot name a table"):
            tables.append(name, flights(1))
        assert tables.names() == []

    # Types

    def test_values_come_back_as_they_went_in(self, tables: TableStore) -> None:
        rows = pa.table(
            {
                "flag": [True, None],
                "small": pa.array([1, -1], pa.int16()),
                "real": [math.inf, 1e-300],
                "text": ["São Paulo; 'x'", ""],
                "bytes": pa.array([b"\x00", None]),
                "at": pa.array([NOON + timedelta(microseconds=1), None], TIME),
                "vector": pa.array([[1.0, None], []], pa.list_(pa.float64())),
                "nothing": pa.nulls(2, pa.float64()),
            }
        )
        tables.append("all", rows)
        tables.append("all", rows)
        assert tables.read("all").equals(pa.concat_tables([rows, rows]))
        tables.append("all", tables.read("all", version=0))
        assert tables.version("all").rows == 6

    def test_nan_is_a_value_and_null_is_none(self, tables: TableStore) -> None:
        tables.append("flights", flights(math.nan, None))
        nan, none = tables.read("flights")["miles"].to_pylist()
        assert math.isnan(nan)
        assert none is None

    def test_times_are_kept_as_utc_microseconds(self, tables: TableStore) -> None:
        rome = pa.array([NOON], pa.timestamp("ms", tz="Europe/Rome"))
        tables.append("seen", pa.table({"at": rome}))
        assert tables.read("seen").schema.field("at").type == TIME
        assert tables.read("seen")["at"].to_pylist() == [NOON]
        with pytest.raises(NaiveTime, match="column at"):
            tables.append("seen", pa.table({"at": pa.array([0], pa.timestamp("us"))}))

    def test_a_changed_schema_names_every_difference_and_writes_nothing(self, tables: TableStore) -> None:
        tables.append("flights", flights(1))
        wrong = pa.table({"miles": ["far"], "gate": [1]})
        with pytest.raises(SchemaChanged) as caught:
            tables.append("flights", wrong, token="wrong")
        said = "carrier is missing, gate is new, miles is string, expected double"
        assert said in str(caught.value)
        assert caught.value.changed == {"miles": ("double", "string")}
        assert tables.version("flights").ref == "flights@0"
        assert tables.holding("flights", "wrong") is None

    def test_the_order_of_columns_is_no_change_of_schema(self, tables: TableStore) -> None:
        tables.append("flights", flights(1))
        tables.append("flights", flights(2).select(["carrier", "miles"]))
        assert tables.read("flights").equals(pa.concat_tables([flights(1), flights(2)]))

    def test_a_column_with_the_name_of_the_positions_is_refused(self, tables: TableStore) -> None:
        for name in ("_seq", "_SEQ"):
            with pytest.raises(BadInput, match="column _seq is kept for the positions of rows; rename it"):
                tables.append("flights", flights(1).rename_columns([name, "carrier"]))
        assert tables.names() == []

    # Health

    def test_a_whole_table_has_no_problems(self, tables: TableStore) -> None:
        for at in range(3):
            tables.append("flights", flights(at))
        assert tables.check("flights") == []
