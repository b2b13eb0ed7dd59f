"""Moments out of tables: exact or refused."""

from __future__ import annotations

import pyarrow as pa
import pytest

from esteira.base.errors import BadInput, NaiveTime, UnknownName
from esteira.features.times import NotATime, NullTime, column_of, micros, nullable_micros, sequence_of


def one(kind: pa.DataType, *values: int | None) -> pa.Table:
    return pa.table({"at": pa.array(values, pa.int64()).cast(kind)})


@pytest.mark.parametrize(("unit", "factor"), [("s", 10**6), ("ms", 1000), ("us", 1)])
def test_every_unit_becomes_microseconds(unit: str, factor: int) -> None:
    assert micros(one(pa.timestamp(unit, "Asia/Tokyo"), 7, -1), "at", "t").tolist() == [7 * factor, -factor]


def test_nanoseconds_are_taken_when_they_are_whole_microseconds_and_refused_otherwise() -> None:
    kind = pa.timestamp("ns", "UTC")
    assert micros(one(kind, 7000), "at", "t").tolist() == [7]
    with pytest.raises(NotATime, match="floor"):
        micros(one(kind, 7001), "at", "t")


def test_a_time_that_microseconds_cannot_hold_is_refused() -> None:
    with pytest.raises(NotATime):
        micros(one(pa.timestamp("s", "UTC"), 2**62), "at", "t")


def test_nulls_are_kept_where_they_may_be_and_refused_where_not() -> None:
    table = one(pa.timestamp("us", "UTC"), 7, None)
    assert nullable_micros(table, "at", "t").to_pylist() == [7, None]
    with pytest.raises(NullTime) as null:
        micros(table, "at", "t")
    assert null.value.rows == 1


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(NaiveTime, match="column 'at' of the spine"):
        micros(one(pa.timestamp("us"), 7), "at", "the spine")


@pytest.mark.parametrize("kind", [pa.int64(), pa.string(), pa.time64("us")])
def test_what_is_no_timestamp_is_refused(kind: pa.DataType) -> None:
    with pytest.raises(NotATime, match="cast it"):
        micros(one(kind, 7), "at", "t")


def test_a_column_is_found_by_its_name_or_the_nearest_is_named() -> None:
    table = one(pa.int64(), 7)
    assert column_of(table, "at", "t").to_pylist() == [7]
    with pytest.raises(UnknownName, match="did you mean 'at'"):
        column_of(table, "att", "t")
    with pytest.raises(BadInput, match="2 columns"):
        column_of(table.append_column("at", table["at"]), "at", "t")


def test_the_place_of_a_row_is_its_sequence_or_else_where_it_stands() -> None:
    rows = pa.table({"k": ["a", "b"], "_seq": [9, 4]})
    assert sequence_of(rows, "t").tolist() == [9, 4]
    assert sequence_of(rows.drop_columns(["_seq"]), "t", since=3).tolist() == [3, 4]


@pytest.mark.parametrize("sequence", [pa.array([1, None]), pa.array([1.0, 2.0])])
def test_a_sequence_of_anything_but_whole_numbers_is_refused(sequence: pa.Array) -> None:
    with pytest.raises(BadInput, match="must be int64 without nulls"):
        sequence_of(pa.table({"_seq": sequence}), "t")
