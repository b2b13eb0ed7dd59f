from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esteira.base.errors import BadInput, NotFound, UnknownName
from esteira.data.tables.delta import DeltaTables
from esteira.project.scoring.sources import is_path, open_source

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.project.scoring.sources import RowSource

COMMITS = (7, 1, 40, 0, 25, 3)
ROWS = sum(COMMITS)


@pytest.fixture
def tables(tmp_path: Path) -> DeltaTables:
    """76 rows in commits of several sizes."""
    made = DeltaTables(f"delta:{tmp_path}/tables")
    start = 0
    for rows in COMMITS:
        numbers = np.arange(start, start + rows)
        made.append("numbers", pa.table({"n": numbers, "is_odd": numbers % 2 == 1}))
        start += rows
    return made


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The same rows in two files of several row groups."""
    folder = tmp_path / "numbers"
    folder.mkdir()
    numbers = np.arange(ROWS)
    rows = pa.table({"n": numbers, "is_odd": numbers % 2 == 1})
    pq.write_table(rows.slice(0, 50), folder / "a.parquet", row_group_size=20)
    pq.write_table(rows.slice(50), folder / "b.parquet", row_group_size=20)
    return folder


def numbers(source: RowSource, where: tuple[tuple[str, str, object], ...], size: int, skip: int) -> list[int]:
    chunks = [*source.chunks(["n"], where, size, skip)]
    assert all(chunk.num_rows == size for chunk in chunks[:-1])
    assert all(chunk["n"].to_pylist() == chunk["_seq"].to_pylist() for chunk in chunks)
    return [number for chunk in chunks for number in chunk["n"].to_pylist()]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(1, 90), skip=st.integers(0, 80), is_odd=st.none() | st.booleans())
def test_wherever_one_goes_on_the_rest_comes_in_order_and_once(
    tables: DeltaTables, files: Path, size: int, skip: int, is_odd: bool | None
) -> None:
    wanted = [n for n in range(ROWS) if is_odd is None or n % 2 == is_odd]
    where = () if is_odd is None else (("is_odd", "==", is_odd),)
    for source in (open_source(tables, "numbers"), open_source(tables, str(files))):
        assert source.rows == ROWS
        assert numbers(source, where, size, skip) == wanted[skip:]


def test_an_older_version_stays_what_it_was(tables: DeltaTables) -> None:
    source = open_source(tables, "numbers@2")
    assert (source.ref, source.rows, source.schema.names) == ("numbers@2", 48, ["n", "is_odd"])
    assert numbers(source, (), 10, 0) == [*range(48)]
    assert open_source(tables, "numbers", "numbers@1").ref == "numbers@1"


def test_a_column_that_came_later_is_null_in_the_rows_before(tables: DeltaTables) -> None:
    schema = tables.describe("numbers").schema
    tables.evolve("numbers", schema.append(pa.field("gate", pa.string())))
    tables.append("numbers", pa.table({"n": [ROWS], "is_odd": [False], "gate": ["B7"]}))
    found = pa.concat_tables(open_source(tables, "numbers").chunks(["n", "gate"], (), 10, 5))
    assert found["n"].to_pylist() == [*range(5, ROWS + 1)]
    assert found["gate"].to_pylist() == [None] * (ROWS - 5) + ["B7"]
    older = open_source(tables, "numbers@2")
    assert older.schema.names == ["n", "is_odd"]
    with pytest.raises(UnknownName, match="gate"):
        next(older.chunks(["gate"], (), 10, 0))


def test_rows_that_another_tool_has_moved_are_read_from_the_first_again(tables: DeltaTables) -> None:
    DeltaTable(f"{tables.root}/numbers").delete("n = 0")
    assert not tables.describe("numbers").is_ours
    source = open_source(tables, "numbers")
    whole = pa.concat_tables(source.chunks(["n"], (), 10, 0))["n"].to_pylist()
    assert sorted(whole) == [*range(1, ROWS)]
    assert pa.concat_tables(source.chunks(["n"], (), 10, 50))["n"].to_pylist() == whole[50:]


def test_files_that_changed_are_refused_where_a_job_has_begun(tables: DeltaTables, files: Path) -> None:
    ref = open_source(tables, str(files)).ref
    assert open_source(tables, str(files), ref).ref == ref
    os.utime(files / "a.parquet", ns=(1, 1))
    with pytest.raises(BadInput, match=r"changed since its scoring began.*another target"):
        open_source(tables, str(files), ref)


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("letters", NotFound, "there are: numbers"),
        ("numbers@x", BadInput, "write e.g. numbers@3"),
        ("numbers@", BadInput, "write e.g. numbers@3"),
        ("./nothing", NotFound, "give a Parquet file, a folder of them, or a table"),
    ],
)
def test_a_source_that_is_not_there_is_named(
    tables: DeltaTables, name: str, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        open_source(tables, name)


def test_files_that_are_no_parquet_are_refused(tables: DeltaTables, tmp_path: Path) -> None:
    wrong = tmp_path / "rows.parquet"
    wrong.write_bytes(b"miles\n500\n")
    with pytest.raises(BadInput, match="cannot be read"):
        open_source(tables, str(wrong))
    pq.write_table(pa.table({"_seq": [1]}), wrong)
    with pytest.raises(BadInput, match="has a column _seq"):
        open_source(tables, str(wrong))
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match=r"empty.*give a Parquet file"):
        open_source(tables, f"{tmp_path}/empty/")
    pq.write_table(pa.table({"n": [1]}), wrong)
    with pytest.raises(UnknownName, match="miles"):
        next(open_source(tables, str(wrong)).chunks(["miles"], (), 10, 0))


def test_a_path_is_told_from_the_name_of_a_table() -> None:
    assert [is_path(each) for each in ("flights", "flights@3", "flights.parquet", "in/flights")] == [
        False,
        False,
        True,
        True,
    ]
