from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, NaiveTime
from esteira.data.tables.schema import TIME, SchemaChanged, conform, evolved, refuse_untyped, storable


@pytest.mark.parametrize(
    ("given_type", "kept"),
    [
        (pa.int8(), pa.int8()),
        (pa.float32(), pa.float32()),
        (pa.date32(), pa.date32()),
        (pa.decimal128(10, 2), pa.decimal128(10, 2)),
        (pa.large_string(), pa.string()),
        (pa.string_view(), pa.string()),
        (pa.large_binary(), pa.binary()),
        (pa.uint8(), pa.int16()),
        (pa.uint32(), pa.int64()),
        (pa.timestamp("s", tz="America/New_York"), TIME),
        (pa.timestamp("ns", tz="UTC"), TIME),
        (pa.dictionary(pa.int32(), pa.large_string()), pa.string()),
        (pa.large_list(pa.uint16()), pa.list_(pa.int32())),
        (pa.list_(pa.list_(pa.float64())), pa.list_(pa.list_(pa.float64()))),
    ],
)
def test_types_are_kept_as_the_nearest_that_lose_nothing(given_type: pa.DataType, kept: pa.DataType) -> None:
    assert storable(pa.table({"a": pa.nulls(2, given_type)})).schema.field("a").type == kept


@pytest.mark.parametrize(
    "kind", [pa.uint64(), pa.time64("us"), pa.duration("s"), pa.float16(), pa.map_(TIME, TIME)]
)
def test_a_type_that_cannot_be_kept_is_refused_with_the_mend(kind: pa.DataType) -> None:
    with pytest.raises(BadInput, match=r"column a is .* cast it"):
        storable(pa.table({"a": pa.nulls(1, kind)}))


def test_a_time_finer_than_microseconds_is_not_rounded_in_silence() -> None:
    with pytest.raises(BadInput, match="round them first"):
        storable(pa.table({"a": pa.array([1], pa.timestamp("ns", tz="UTC"))}))


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(NaiveTime, match="column a"):
        storable(pa.table({"a": pa.array([[1]], pa.list_(pa.timestamp("us")))}))


def test_two_columns_of_one_name_are_refused_whatever_their_case() -> None:
    with pytest.raises(BadInput, match="columns A, a have one name"):
        storable(pa.table([[1], [2]], names=["a", "A"]))


def test_what_pandas_or_a_reader_left_in_the_schema_is_not_kept() -> None:
    noisy = pa.schema([pa.field("a", pa.int64(), nullable=False)], metadata={"pandas": "{}"})
    kept = storable(pa.table({"a": [1]}, schema=noisy)).schema
    assert kept.metadata is None
    assert kept.field("a").nullable


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int16": st.integers(-(2**15), 2**15 - 1),
    "float64": st.floats(allow_nan=False),
    "string": st.text(st.characters(exclude_categories=["Cs"])),
    "bool": st.booleans(),
}


@given(st.dictionaries(st.sampled_from("abcd"), st.sampled_from([*VALUES]), min_size=1), st.data())
def test_columns_in_any_order_conform_with_their_values(kinds: dict[str, str], data: st.DataObject) -> None:
    columns = {
        name: pa.array(data.draw(st.lists(VALUES[kind] | st.none(), min_size=2, max_size=2)), kind)
        for name, kind in kinds.items()
    }
    rows = storable(pa.table(columns))
    shuffled = rows.select(data.draw(st.permutations([*kinds])))
    assert conform(shuffled, rows.schema, "t").equals(rows)


def test_every_difference_is_named_and_kept_as_data() -> None:
    schema = pa.schema({"a": pa.int64(), "b": pa.string(), "c": pa.list_(pa.int64())})
    with pytest.raises(SchemaChanged) as caught:
        conform(pa.table({"a": pa.array([1], pa.int32()), "c": [["x"]], "d": [1]}), schema, "t")
    assert (caught.value.missing, caught.value.extra) == (["b"], ["d"])
    assert caught.value.changed == {
        "a": ("int64", "int32"),
        "c": (str(schema.field("c").type), "list<item: string>"),
    }


def test_columns_of_nothing_take_the_type_of_the_table() -> None:
    schema = pa.schema({"a": pa.int64(), "c": pa.list_(pa.field("element", pa.int64()))})
    rows = storable(pa.table({"a": [None], "c": [[]]}))
    assert conform(rows, schema, "t").schema == schema
    with pytest.raises(BadInput, match="untyped columns: a, c"):
        refuse_untyped(rows, "t")


FLIGHTS = pa.schema({"miles": pa.float64(), "carrier": pa.string()})


@given(st.permutations(["miles", "carrier", "gate", "belt"]))
def test_declared_columns_come_after_those_that_are_there_whatever_the_order(names: list[str]) -> None:
    types = {"miles": pa.float64(), "carrier": pa.large_string(), "gate": pa.string(), "belt": pa.uint8()}
    found = evolved(FLIGHTS, pa.schema([(name, types[name]) for name in names]), "flights")
    new = [name for name in names if name in ("gate", "belt")]
    assert found.names == ["miles", "carrier", *new]
    assert found.field("belt").type == pa.int16()
    assert evolved(found, found, "flights") == found


def test_a_declaration_that_contradicts_the_table_names_every_column() -> None:
    with pytest.raises(SchemaChanged) as caught:
        evolved(FLIGHTS, pa.schema({"miles": pa.int64(), "gate": pa.string()}), "flights")
    assert (caught.value.missing, caught.value.changed) == (["carrier"], {"miles": ("double", "int64")})
    assert str(caught.value) == (
        "the schema of table 'flights' changed: carrier is missing, miles is int64, expected double; "
        "keep them and declare a new column, or begin a table with another name"
    )
