from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

from esteira.base.clock import EPOCH
from esteira.base.records import TableVersion
from esteira.data.tables import scanning
from esteira.data.tables.parquet import ROWS_PER_GROUP, fragment, write_data_file
from esteira.data.tables.port import SEQUENCE
from esteira.data.tables.scanning import Extent, Piece, portions, read, scan
from esteira.data.tables.where import question

if TYPE_CHECKING:
    from pathlib import Path

GROUPS = 3


@pytest.fixture(scope="module")
def extent(tmp_path_factory: pytest.TempPathFactory) -> Extent:
    """A file of several row groups between two small ones; `n` is the position, `at` ascends."""
    folder: Path = tmp_path_factory.mktemp("large")
    place = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
    pieces, start = [], 0
    for rows in (10, GROUPS * ROWS_PER_GROUP, 10):
        n = np.arange(start, start + rows)
        table = pa.table({"n": n, "at": pa.array(n).cast(pa.timestamp("us", tz="UTC"))})
        pieces.append(Piece(fragment(place, write_data_file(folder, table, at=0)), start, rows))
        start += rows
    version = TableVersion("flights", 0, start, EPOCH)
    return Extent(version, table.schema, pieces, 0, start, place, 0)


def part(extent: Extent, first: int, last: int) -> Extent:
    files = [piece for piece in extent.files if piece.start < last and first < piece.start + piece.rows]
    return Extent(extent.version, extent.schema, files, first, last, extent.place, 0)


@pytest.mark.parametrize(
    ("first", "last"),
    [(0, 5), (5, 15), (12, ROWS_PER_GROUP + 30), (2 * ROWS_PER_GROUP + 10, GROUPS * ROWS_PER_GROUP + 15)],
)
def test_part_of_a_file_is_read_as_part_of_all(extent: Extent, first: int, last: int) -> None:
    asked = question(extent.version, extent.schema, ["n"], [("n", "!=", first)])
    wanted = [*range(first + 1, last)]
    rows = pa.Table.from_batches([batch.rows for batch in scan(part(extent, first, last), asked)])
    assert rows["n"].to_pylist() == rows[SEQUENCE].to_pylist() == wanted
    if first == 0:
        assert read(part(extent, first, last), asked)["n"].to_pylist() == wanted


def test_row_groups_outside_the_question_or_the_range_are_not_decoded(extent: Extent) -> None:
    middle = 10 + ROWS_PER_GROUP + 7
    asked = question(extent.version, extent.schema, ["n"], [("n", "==", middle)])
    batches = [*scan(extent, asked)]
    assert [batch.rows["n"].to_pylist() for batch in batches if batch.rows.num_rows] == [[middle]]
    assert [batch.reached for batch in batches][-1] == 10 + 2 * ROWS_PER_GROUP
    everything = question(extent.version, extent.schema, ["n"], [])
    last = [*scan(part(extent, 10 + 2 * ROWS_PER_GROUP, extent.last), everything)]
    assert sum(batch.rows.num_rows for batch in last) == ROWS_PER_GROUP + 10


def test_a_large_file_is_not_read_further_ahead_than_one_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow the reader: what waits is of one scan, and a scan is as many rows as its numbers allow."""
    monkeypatch.setattr(scanning, "_CELLS", 4 * ROWS_PER_GROUP)
    rows = 16 * ROWS_PER_GROUP
    noise = pa.table({name: np.random.default_rng(7).normal(size=rows) for name in "xy"})
    place = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    piece = Piece(fragment(place, write_data_file(tmp_path, noise, at=0)), 0, rows)
    whole = Extent(TableVersion("noise", 0, rows, EPOCH), noise.schema, [piece], 0, rows, place, 0)
    del noise
    before, most, reached = pa.total_allocated_bytes(), 0, 0
    for batch in scan(whole, question(whole.version, whole.schema, None, [])):
        time.sleep(0.05)
        reached = batch.reached
        most = max(most, pa.total_allocated_bytes() - before)
    assert reached == rows
    assert most < rows * 2 * 8 / 3


def test_batches_tell_how_far_they_reach(extent: Extent) -> None:
    asked = question(extent.version, extent.schema, ["n"], [("n", "in", [3, extent.last - 1])])
    reached = [batch.reached for batch in scan(extent, asked, size=50_000)]
    assert reached == sorted(reached)
    assert reached[-1] == extent.last


@given(st.lists(st.integers(0, 7), max_size=8), st.integers(1, 9))
def test_portions_are_the_same_rows_in_full_tables(rows: list[int], size: int) -> None:
    values = iter(range(sum(rows)))
    tables = [pa.table({"n": pa.array([next(values) for _ in range(count)], pa.int64())}) for count in rows]
    found = [*portions(tables, size)]
    assert [n for table in found for n in table["n"].to_pylist()] == [*range(sum(rows))]
    assert all(table.num_rows == size for table in found[:-1])
    assert all(0 < table.num_rows <= size for table in found)
