"""What every TableStore must do when it is read as a stream."""

from __future__ import annotations

import tempfile
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from esteira.data.tables.port import TableStore


def numbers(batches: Iterable[pa.Table], column: str = SEQUENCE) -> list[Any]:
    return [value for batch in batches for value in batch[column].to_pylist()]


class TableScanContract(TableContract):
    """Subclass it and give `open`."""

    def test_a_scan_gives_all_rows_in_order_with_their_positions(self, tables: TableStore) -> None:
        for miles in ([1, 2], [3], [4, 5]):
            tables.append("flights", flights(*miles))
        found = pa.concat_tables(tables.scan("flights"))
        assert found.column_names == ["miles", "carrier", SEQUENCE]
        assert found.schema.field(SEQUENCE).type == pa.int64()
        assert found.drop_columns([SEQUENCE]).equals(tables.read("flights"))
        assert found[SEQUENCE].to_pylist() == [0, 1, 2, 3, 4]

    def test_only_what_came_between_two_versions_is_scanned(self, tables: TableStore) -> None:
        for miles in ([1, 2], [3], [4, 5]):
            tables.append("flights", flights(*miles))
        assert numbers(tables.scan("flights", since=0)) == [2, 3, 4]
        assert numbers(tables.scan("flights", since=0, version=1)) == [2]
        assert numbers(tables.scan("flights", version=1), "miles") == [1, 2, 3]
        assert [*tables.scan("flights", since=2)] == []
        assert [*tables.scan("flights", since=1, version=1)] == []

    @pytest.mark.parametrize(("size", "batches"), [(1, [1] * 5), (2, [2, 2, 1]), (4, [4, 1]), (99, [5])])
    def test_batches_are_full_whatever_the_appends_were(
        self, tables: TableStore, size: int, batches: list[int]
    ) -> None:
        for miles in ([1, 2], [3], [4, 5]):
            tables.append("flights", flights(*miles))
        assert [batch.num_rows for batch in tables.scan("flights", size=size)] == batches

    def test_a_table_without_rows_has_no_batches(self, tables: TableStore) -> None:
        tables.append("flights", flights())
        assert [*tables.scan("flights")] == []

    def test_positions_can_be_scanned_alone_and_columns_in_any_order(self, tables: TableStore) -> None:
        tables.append("flights", flights(7, 8))
        assert [batch.to_pydict() for batch in tables.scan("flights", columns=[])] == [{SEQUENCE: [0, 1]}]
        (batch,) = tables.scan("flights", columns=["carrier", "miles"])
        assert batch.column_names == ["carrier", "miles", SEQUENCE]

    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            ([("n", ">", 0)], [1, 2, 5]),
            ([("at", ">=", NOON + timedelta(minutes=5))], [1, 2, 4, 5]),
            ([("at", ">=", NOON + timedelta(minutes=5)), ("n", "!=", 1)], [2, 4]),
            ([("n", "in", [7])], []),
        ],
    )
    def test_a_condition_leaves_rows_out_and_positions_true(
        self, tables: TableStore, where: Sequence[tuple[str, str, Any]], expected: list[int]
    ) -> None:
        tables.append("seen", seen(0, 5, 9))
        tables.append("seen", seen(None))
        tables.append("seen", seen(20, 30))
        assert numbers(tables.scan("seen", where=where)) == expected
        assert numbers(tables.scan("seen", where=where, columns=[], size=1)) == expected

    @settings(max_examples=15, suppress_health_check=[HealthCheck.differing_executors])
    @given(
        st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=6),
        st.integers(1, 8),
        st.data(),
    )
    def test_a_scan_is_a_slice_of_all_rows_whatever_is_asked(
        self, appends: list[list[int]], size: int, data: st.DataObject
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            tables = self.open(Path(folder), SimulatedClock(start=NOON))
            for values in appends:
                tables.append("numbers", pa.table({"n": pa.array(values, pa.int64())}))
            history = tables.history("numbers")
            until = data.draw(st.sampled_from(history))
            since = data.draw(st.none() | st.sampled_from(history[: until.version + 1]))
            least = data.draw(st.integers(0, 9))
            found = tables.scan(
                "numbers",
                since=None if since is None else since.version,
                version=until.version,
                where=[("n", ">=", least)] if least else (),
                size=size,
            )
            everything = [value for values in appends for value in values]
            first = 0 if since is None else since.rows
            wanted = [(at, n) for at, n in enumerate(everything[: until.rows]) if at >= first and n >= least]
            rows = [(row[SEQUENCE], row["n"]) for batch in found for row in batch.to_pylist()]
            assert rows == wanted

    @pytest.mark.parametrize(
        ("ask", "error", "said"),
        [
            ({"since": 2}, NotFound, "the newest is flights@1"),
            ({"version": -1}, NotFound, "the newest is flights@1"),
            ({"since": 1, "version": 0}, BadInput, "nothing of flights@0 came after flights@1"),
            ({"size": 0}, BadInput, "at least 1"),
            ({"columns": ["mile"]}, UnknownName, "did you mean 'miles'"),
            ({"where": [("mile", "==", 1)]}, UnknownName, "did you mean 'miles'"),
            ({"where": [("miles", "==", "far")]}, BadInput, "cannot read flights@1 where"),
        ],
    )
    def test_what_cannot_be_scanned_is_refused(
        self, tables: TableStore, ask: dict[str, Any], error: type[Exception], said: str
    ) -> None:
        tables.append("flights", flights(1))
        tables.append("flights", flights(2))
        with pytest.raises(error, match=said):
            [*tables.scan("flights", **ask)]

    def test_a_table_that_is_not_there_is_refused_before_the_first_batch(self, tables: TableStore) -> None:
        with pytest.raises(NotFound, match="there are: none"):
            tables.scan("flights")
