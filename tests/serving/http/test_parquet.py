from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput
from esteira.registry.signature import Column, Signature
from esteira.serving.http.decoding import MalformedBody
from esteira.serving.http.formats import UnfitRows
from esteira.serving.http.parquet import MOST_CELLS, rows_of_parquet

LATE = Signature((Column("miles"), Column("carrier", "category", ("AA", "UA"))), "late")


def parquet(table: pa.Table, **options: Any) -> bytes:
    file = BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


GOOD = parquet(pa.table({"miles": [1.0, 2.0], "carrier": ["UA", None], "day": [1, 2]}))
ROWS = [{"miles": 1.0, "carrier": "UA"}, {"miles": 2.0, "carrier": None}]


def test_the_rows_are_those_of_the_file_without_strange_columns() -> None:
    assert rows_of_parquet(GOOD, LATE) == ROWS


@pytest.mark.parametrize(
    ("miles", "carrier"),
    [
        (pa.array([1, 2], pa.int64()), pa.array(["UA", None], pa.large_string())),
        (pa.array([1, 2], pa.float32()), pa.array(["UA", None]).dictionary_encode()),
        (pa.array([Decimal("1.0"), Decimal("2.0")]), pa.array(["UA", None])),
    ],
)
def test_every_type_of_numbers_and_texts_is_read(miles: pa.Array, carrier: pa.Array) -> None:
    rows = rows_of_parquet(parquet(pa.table({"miles": miles, "carrier": carrier})), LATE)
    assert rows == ROWS
    assert all(isinstance(row["miles"], int | float) for row in rows)


def test_a_type_that_is_no_number_stays_what_it_is_and_is_refused_where_it_becomes_one() -> None:
    moment = datetime(2013, 7, 1, tzinfo=UTC)
    (row,) = rows_of_parquet(parquet(pa.table({"miles": [moment], "carrier": ["UA"]})), LATE)
    assert row["miles"] == moment
    with pytest.raises(BadInput, match="'miles' must be a number"):
        LATE.encode_row(row)


def test_a_small_file_of_very_many_rows_is_refused_before_it_is_read() -> None:
    one = pa.array([1.0]).take(pa.array([0] * 1000))
    chunks = [one] * (MOST_CELLS // 1000)
    table = pa.table({"miles": pa.chunked_array(chunks), "carrier": pa.nulls(MOST_CELLS, pa.string())})
    body = parquet(table, compression="zstd")
    assert len(body) < 20_000
    with pytest.raises(MalformedBody, match=f"at most {MOST_CELLS} values at once, found {2 * MOST_CELLS}"):
        rows_of_parquet(body, LATE)


def test_a_missing_and_a_doubled_column_are_named() -> None:
    with pytest.raises(UnfitRows, match="'carrier' must be a category, found nothing"):
        rows_of_parquet(parquet(pa.table({"miles": [1.0]})), LATE)
    doubled = pa.Table.from_arrays(
        [pa.array([1.0]), pa.array(["UA"]), pa.array(["AA"])], ["miles", *["carrier"] * 2]
    )
    with pytest.raises(UnfitRows, match="comes twice"):
        rows_of_parquet(parquet(doubled), LATE)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_damaged_byte_gives_rows_or_a_refusal(at: int, byte: int) -> None:
    damaged = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    with suppress(BadInput):
        assert isinstance(rows_of_parquet(damaged, LATE), list)


@given(st.integers(0, len(GOOD) - 1))
def test_a_truncated_file_is_refused(length: int) -> None:
    with pytest.raises(MalformedBody, match="no Parquet file"):
        rows_of_parquet(GOOD[:length], LATE)
