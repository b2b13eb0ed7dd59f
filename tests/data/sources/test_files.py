from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esteira.base.clock import EPOCH
from esteira.base.errors import BadInput, NotFound, UnknownName
from esteira.data.sources.files import FileSource
from esteira.data.tables.schema import TIME

if TYPE_CHECKING:
    from pathlib import Path

LATE = datetime(2030, 1, 1, tzinfo=UTC)
NEW_YORK = "America/New_York"
SCHEMA = pa.schema({"carrier": pa.string(), "miles": pa.int32(), "landed": TIME})


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "flights.csv"
    path.write_text(
        "miles,carrier,landed\n500,UA,2013-07-01 10:00\n1400,NA,2013-07-01 12:00\n,,2013-07-02 09:00\n"
    )
    return path


def everything(path: Path, **options: Any) -> pa.Table:
    return FileSource(path, published="landed", **options)(EPOCH, LATE)


def test_rows_are_those_published_after_one_time_and_until_another(csv: Path) -> None:
    source = FileSource(csv, published="landed", zone=NEW_YORK)
    ten, noon = datetime(2013, 7, 1, 14, tzinfo=UTC), datetime(2013, 7, 1, 16, tzinfo=UTC)
    assert source(EPOCH, ten)["miles"].to_pylist() == [500]
    assert source(ten, noon)["miles"].to_pylist() == [1400]
    assert source(noon, LATE)["miles"].to_pylist() == [None]
    assert source(LATE, LATE).num_rows == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(minutes=st.lists(st.integers(0, 30), max_size=12), cuts=st.lists(st.integers(0, 31), max_size=4))
def test_ranges_that_follow_one_another_bring_each_row_once(
    tmp_path: Path, minutes: list[int], cuts: list[int]
) -> None:
    start = datetime(2013, 7, 1, tzinfo=UTC)
    at = [start + timedelta(minutes=each) for each in minutes]
    pq.write_table(pa.table({"landed": pa.array(at, TIME), "n": range(len(at))}), tmp_path / "a.parquet")
    source = FileSource(tmp_path / "a.parquet", published="landed")
    bounds = [EPOCH, *(start + timedelta(minutes=cut) for cut in sorted(cuts)), LATE]
    came = [n for since, until in pairwise(bounds) for n in source(since, until)["n"].to_pylist()]
    assert sorted(came) == [*range(len(at))]


def test_a_schema_says_the_columns_their_types_and_their_order(csv: Path) -> None:
    found = everything(csv, zone=NEW_YORK, schema=SCHEMA)
    assert found.schema == SCHEMA
    assert found["carrier"].to_pylist() == ["UA", "NA", ""]
    assert everything(csv, zone=NEW_YORK).column_names == ["miles", "carrier", "landed"]


def test_parquet_and_csv_give_the_same_rows(csv: Path, tmp_path: Path) -> None:
    wanted = everything(csv, zone=NEW_YORK, schema=SCHEMA)
    landed = [datetime(2013, 7, day, hour) for day, hour in ((1, 10), (1, 12), (2, 9))]  # noqa: DTZ001 - a time without a zone is what is tried
    rows = wanted.set_column(2, "landed", pa.array(landed, pa.timestamp("ns"))).append_column(
        "n", [[1, 2, 3]]
    )
    pq.write_table(rows, tmp_path / "flights.parquet")
    assert everything(tmp_path / "flights.parquet", zone=NEW_YORK, schema=SCHEMA).equals(wanted)


def test_all_times_of_a_file_are_made_utc(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("landed,left\n2013-07-01 10:00,2013-07-01 08:00\n")
    found = everything(path, zone=NEW_YORK)
    assert found["left"].to_pylist() == [datetime(2013, 7, 1, 12, tzinfo=UTC)]
    path.write_text("landed,left\n2013-07-01T10:00Z,2013-07-01 08:00\n")
    with pytest.raises(BadInput, match=r"left of .* has no time zone; declare zone="):
        everything(path)


def test_an_hour_that_came_twice_is_refused_with_its_row_or_settled(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("landed\n2013-07-01 10:00\n2013-11-03 01:30\n")
    with pytest.raises(BadInput, match="row 2 '2013-11-03 01:30:00' happens twice"):
        everything(path, zone=NEW_YORK)
    assert everything(path, zone=NEW_YORK, settle="latest")["landed"][1].as_py().hour == 6


def test_a_file_with_names_only_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("miles,carrier,landed\n")
    assert everything(path, schema=SCHEMA).equals(SCHEMA.empty_table())
    assert everything(path).num_rows == 0


def test_a_bad_row_far_into_a_file_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = 300_000  # more than a batch
    path.write_text("landed\n" + "2013-07-01T10:00Z\n" * rows + "noon\n")
    with pytest.raises(BadInput, match=f"row {rows + 1} 'noon'"):
        everything(path)


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (None, NotFound, "a.csv' does not exist; correct the path"),
        ("", BadInput, "is empty; it needs at least the names of its columns"),
        ("miles\n1\n", UnknownName, "unknown column of .* 'landed'; known: miles"),
        ("landed\n1\n", BadInput, "row 1 '1' is not an ISO 8601 time"),
        ("landed\n2013-07-01 10:00\n", BadInput, "has no time zone; declare zone="),
        ("landed,n\n2013-07-01T10:00Z,1\n,2\n", BadInput, "landed of .* is empty in row 2; fill it"),
        ("landed,n\n2013-07-01T10:00Z\n", BadInput, "cannot be read: .* Expected 2 columns, got 1"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    tmp_path: Path, content: str | None, error: type[Exception], said: str
) -> None:
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(error, match=said):
        everything(path)


def test_values_that_are_not_of_the_schema_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("landed,miles,carrier\n2013-07-01T10:00Z,far,UA\n")
    with pytest.raises(BadInput, match="invalid value 'far'"):
        everything(path, schema=SCHEMA)
    path.write_text("landed,miles,carrier\n2013-07-01T10:00Z,5,UA\n")
    with pytest.raises(UnknownName, match="'gate'"):
        everything(path, schema=pa.schema([*SCHEMA, ("gate", pa.string())]))


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_text("landed\n")
    with pytest.raises(BadInput, match=r"a\.parquet cannot be read"):
        everything(path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"zone": "New York"}, "no time zone is named 'New York'; write e.g. zone="),
        ({"zone": "../etc/passwd"}, "no time zone is named"),
        ({"settle": "first"}, "use 'earliest' or 'latest'"),
        ({"path": "flights.json"}, r"must end with \.csv or \.parquet"),
        ({"schema": pa.schema({"miles": pa.int64()})}, "unknown column of the schema 'landed'"),
    ],
)
def test_a_source_that_makes_no_sense_is_refused_when_it_is_made(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        FileSource(**{"path": "flights.csv", "published": "landed", **options})


def test_text_that_is_not_utf_8_is_refused_and_bytes_that_are_declared_are_not(csv: Path) -> None:
    csv.write_bytes("miles,carrier,landed\n500,Vião,2013-07-01 10:00\n".encode("latin-1"))
    with pytest.raises(BadInput, match=r"carrier of .*flights\.csv is not UTF-8; save the file as UTF-8"):
        everything(csv, zone=NEW_YORK)
    schema = pa.schema({"carrier": pa.binary(), "landed": TIME})
    assert everything(csv, zone=NEW_YORK, schema=schema)["carrier"].to_pylist() == [b"Vi\xe3o"]
