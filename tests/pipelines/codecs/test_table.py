"""Tables as artifacts: equal tables, equal bytes."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts.codec import CodecContract

from esteira.base.errors import CorruptArtifact
from esteira.pipelines.codecs.port import Unstorable
from esteira.pipelines.codecs.table import FILE, GROUP, TableCodec

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
WIDE = pa.table(
    {
        "n": pa.array([1, None, 3], pa.int32()),
        "x": [1.5, float("inf"), None],
        "t": pa.array([NOON, None, NOON], pa.timestamp("us", "UTC")),
        "s": ["JFK", "", None],
        "b": [True, None, False],
        "d": pa.array(["a", "b", "a"]).dictionary_encode(),
        "l": pa.array([[1], [], None], pa.list_(pa.field("element", pa.int64()))),
        "L": pa.array([[1], [], None], pa.large_list(pa.field("element", pa.int64()))),
        "f": pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.field("element", pa.int64()), 2)),
        "k": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        "r": [{"a": 1}, {"a": 2}, None],
        "m": pa.array([Decimal("1.50"), None, Decimal("2.25")]),
        "w": pa.array(["x", "y", None], pa.large_string()),
    }
)


def written(table: pa.Table) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        TableCodec().save(table, Path(name))
        return (Path(name) / FILE).read_bytes()


class TestTableCodec(CodecContract):
    values = (
        (WIDE, pa.Table),
        (WIDE.slice(0, 0), pa.Table),
        (WIDE.slice(1, 1), object),
        (pa.table({}), pa.Table),
    )

    def open(self) -> TableCodec:
        return TableCodec()

    def equal(self, one: Any, other: Any) -> bool:
        return one.schema == other.schema and one.equals(other)

    def test_a_settled_table_is_to_the_letter_what_a_reader_gets(self, tmp_path: Path) -> None:
        self.open().save(WIDE, tmp_path)
        settled, loaded = self.open().settled(WIDE, tmp_path, pa.Table), self.open().load(tmp_path, pa.Table)
        assert settled.schema.equals(loaded.schema, check_metadata=True)

    def test_metadata_is_left_behind(self, tmp_path: Path) -> None:
        field = pa.field("a", pa.int64(), metadata={"unit": "minutes"})
        table = pa.table({"a": [1]}, schema=pa.schema([field])).replace_schema_metadata({"pandas": "3.1.1"})
        bare = pa.table({"a": [1]})
        assert written(table) == written(bare)
        self.open().save(table, tmp_path)
        for found in (self.open().load(tmp_path, pa.Table), self.open().settled(table, tmp_path, pa.Table)):
            assert not found.schema.metadata
            assert found.schema.field("a").metadata is None

    def test_metadata_and_names_inside_nested_types_are_no_content(self, tmp_path: Path) -> None:
        def nested(name: str, metadata: dict[str, str] | None) -> pa.Table:
            inner = pa.field("a", pa.int64(), metadata=metadata)
            kind = pa.list_(pa.field(name, pa.struct([inner]), metadata=metadata))
            return pa.table({"rows": pa.array([[{"a": 1}]], kind)})

        one, other = nested("item", {"unit": "minutes"}), nested("element", None)
        assert one == other
        assert written(one) == written(other)
        self.open().save(one, tmp_path)
        settled = self.open().settled(one, tmp_path, pa.Table)
        assert self.equal(settled, self.open().load(tmp_path, pa.Table))

    def test_types_that_parquet_changes_are_changed_at_once(self, tmp_path: Path) -> None:
        table = pa.table({"t": pa.array([1], pa.timestamp("s", "UTC"))})
        self.open().save(table, tmp_path)
        settled, loaded = self.open().settled(table, tmp_path, pa.Table), self.open().load(tmp_path, pa.Table)
        assert settled.schema == loaded.schema

    def test_a_type_that_parquet_does_not_know_is_refused(self, tmp_path: Path) -> None:
        table = pa.table(
            {
                "u": pa.UnionArray.from_dense(
                    pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])]
                )
            }
        )
        with pytest.raises(Unstorable, match="a table cannot be stored"):
            self.open().save(table, tmp_path)

    def test_what_parquet_writes_and_cannot_read_is_refused(self, tmp_path: Path) -> None:
        table = pa.table({"f": pa.array([[1, 2], None], pa.list_(pa.int64(), 2))})
        with pytest.raises(Unstorable, match="cannot read it back"):
            self.open().save(table, tmp_path)

    def test_broken_bytes_are_corrupt(self, tmp_path: Path) -> None:
        (tmp_path / FILE).write_bytes(b"PAR1 no more")
        with pytest.raises(CorruptArtifact):
            self.open().load(tmp_path, pa.Table)
        (tmp_path / FILE).unlink()
        with pytest.raises(CorruptArtifact):
            self.open().load(tmp_path, pa.Table)

    def test_a_folder_that_looks_like_a_partition_adds_no_column(self, tmp_path: Path) -> None:
        folder = tmp_path / "year=2013"
        folder.mkdir()
        self.open().save(pa.table({"a": [1]}), folder)
        assert self.open().load(folder, pa.Table).column_names == ["a"]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-5, 5) | st.none(), st.sampled_from(["JFK", "LGA", ""]) | st.none())),
    st.data(),
)
def test_however_rows_are_cut_into_chunks_the_bytes_are_the_same(
    rows: list[Any], data: st.DataObject
) -> None:
    schema = pa.schema([("n", pa.int64()), ("s", pa.string())])
    whole = pa.table([[each[0] for each in rows], [each[1] for each in rows]], schema=schema)
    cuts = sorted({0, *data.draw(st.lists(st.integers(0, len(rows)), max_size=3)), len(rows)})
    pieces = [whole.slice(start, end - start) for start, end in pairwise(cuts)]
    assert written(pa.concat_tables([*pieces, whole.slice(0, 0)])) == written(whole)


def test_chunks_with_dictionaries_of_their_own_give_the_same_bytes() -> None:
    whole = pa.table({"s": pa.array(["b", "a", "b"]).dictionary_encode()})
    cut = pa.concat_tables([whole.slice(0, 1), whole.slice(1, 2)])
    apart = pa.table(
        {
            "s": pa.chunked_array(
                [pa.array(["b", "a"]).dictionary_encode(), pa.array(["b"]).dictionary_encode()]
            )
        }
    )
    assert written(whole) == written(cut) == written(apart)


def test_row_groups_have_a_fixed_size(tmp_path: Path) -> None:
    table = pa.table({"a": pa.nulls(GROUP + 1, pa.int8())})
    TableCodec().save(pa.concat_tables([table.slice(0, 7), table.slice(7)]), tmp_path)
    found = pq.ParquetFile(tmp_path / FILE).metadata
    assert [found.row_group(at).num_rows for at in range(found.num_row_groups)] == [GROUP, 1]
