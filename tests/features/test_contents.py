from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.features.contents import BLOCK_ROWS, NoContent, content_of

if TYPE_CHECKING:
    from pathlib import Path

NESTED = pa.table(
    {
        "text": pa.array(["a", None, "", "bc"]),
        "lists": pa.array([[1, None], None, [], [3]]),
        "pairs": pa.array([[1, 2], None, [3, None], [4, 5]], pa.list_(pa.int32(), 2)),
        "maps": pa.array([[("a", 1)], None, [("b", None)], []], pa.map_(pa.string(), pa.int64())),
        "structs": pa.array([{"x": 1, "y": "b"}, None, {"x": None, "y": None}, {"x": 2, "y": "c"}]),
        "flags": pa.array([True, None, False, True]),
        "times": pa.array([datetime(2020, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)]),
        "nothing": pa.nulls(4),
    }
)
CELLS = {
    "whole": (pa.int64(), st.integers(-3, 3)),
    "real": (pa.float64(), st.sampled_from([0.0, -0.0, 1.5, math.inf, math.nan])),
    "text": (pa.string(), st.sampled_from(["", "a", "b", "ab", "ção"])),
    "list": (pa.list_(pa.string()), st.lists(st.sampled_from(["", "a", "ab"]), max_size=3)),
}


def digest(table: pa.Table) -> str:
    return content_of(table).digest


def spelled(table: pa.Table) -> str:
    """The rows as a reader tells them apart: repr keeps NaN equal to itself and the zeros apart."""
    return repr((table.schema.names, [str(kind) for kind in table.schema.types], table.to_pylist()))


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(0, 4))
    columns = {}
    for name, (kind, cells) in CELLS.items():
        values = draw(st.lists(st.none() | cells, min_size=rows, max_size=rows))
        columns[name] = pa.array(values, kind)
    return pa.table(columns)


@given(tables(), tables())
def test_two_tables_have_one_digest_exactly_when_they_hold_the_same(one: pa.Table, other: pa.Table) -> None:
    assert (digest(one) == digest(other)) == (spelled(one) == spelled(other))


@given(tables(), tables(), st.integers(0, 8))
def test_how_a_table_is_stored_does_not_matter(head: pa.Table, tail: pa.Table, cut: int) -> None:
    whole = pa.concat_tables([head, tail])
    same = [
        whole.combine_chunks(),
        pa.concat_tables([whole.slice(0, cut), whole.slice(cut)]),
        whole.replace_schema_metadata({"pandas": "3.0"}),
        whole.set_column(2, "text", whole["text"].cast(pa.large_string())),
        whole.set_column(2, "text", whole["text"].combine_chunks().dictionary_encode()),
        pa.Table.from_pylist(whole.to_pylist(), schema=whole.schema),
    ]
    assert {digest(each) for each in same} == {digest(whole)}


@given(tables(), st.integers(0, 4))
def test_a_slice_is_digested_like_a_copy_of_it(table: pa.Table, start: int) -> None:
    part = table.slice(start)
    assert digest(part) == digest(pa.Table.from_pylist(part.to_pylist(), schema=part.schema))


def test_every_kind_of_column_has_a_digest_of_its_own() -> None:
    found = content_of(NESTED)
    assert [each.type for each in found.columns] == [
        "string",
        "list<int64>",
        "list<int32>[2]",
        "map<string, int64>",
        'struct<"x": int64, "y": string>',
        "bool",
        "timestamp[us, tz=UTC]",
        "null",
    ]
    for start in range(4):
        part = NESTED.slice(start)
        assert digest(part) == digest(pa.Table.from_pylist(part.to_pylist(), schema=NESTED.schema))


def test_a_value_is_found_beyond_the_first_block() -> None:
    rows = np.arange(BLOCK_ROWS + 10)
    changed = rows.copy()
    changed[-1] += 1
    assert digest(pa.table({"n": rows})) != digest(pa.table({"n": changed}))


def test_what_is_hidden_under_a_null_does_not_count() -> None:
    hidden = pa.array(np.array([1.0, 99.0]), mask=np.array([False, True]))
    assert digest(pa.table({"f": hidden})) == digest(pa.table({"f": pa.array([1.0, None])}))


def test_every_not_a_number_is_one_value() -> None:
    odd = np.array([0x7FF8000000000001], np.uint64).view(np.float64)
    assert digest(pa.table({"f": odd})) == digest(pa.table({"f": [math.nan]}))


def test_order_name_type_and_place_of_columns_count() -> None:
    base = pa.table({"a": [1, 2], "b": [3, 4]})
    others = [
        base.take([1, 0]),
        base.rename_columns(["a", "c"]),
        base.select(["b", "a"]),
        base.set_column(0, "a", base["a"].cast(pa.int32())),
        base.slice(0, 1),
    ]
    assert len({digest(each) for each in (base, *others)}) == 6


def test_the_digest_is_the_same_for_ever() -> None:
    """It is written in manifests: a change of it is a new FORMAT."""
    assert digest(NESTED.drop_columns(["maps"]))[:16] == "e8c83dc8b0d547ab"


def test_parquet_gives_back_the_same_content(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    kept = NESTED.drop_columns(["pairs"])
    pq.write_table(kept, path, row_group_size=2)
    assert digest(pq.read_table(path)) == digest(kept)


def test_a_type_without_a_plain_form_is_refused() -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array([1.0]))
    with pytest.raises(NoContent, match="cast it"):
        content_of(pa.table({"x": runs}))
