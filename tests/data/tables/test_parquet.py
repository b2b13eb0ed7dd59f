from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

from esteira.base.digest import digest_file
from esteira.base.errors import StorageUnwritable
from esteira.data.tables.facts import Facts
from esteira.data.tables.parquet import VERIFIED, fragment, problem_with, stream_data_file, write_data_file
from esteira.data.tables.schema import TIME

if TYPE_CHECKING:
    from pathlib import Path


def times(*micros: int | None) -> pa.Table:
    return pa.table({"at": pa.array(micros, pa.int64()).cast(TIME), "n": range(len(micros))})


def test_a_file_is_recorded_with_its_rows_digest_and_span_of_time(tmp_path: Path) -> None:
    facts = write_data_file(tmp_path, times(5, None, 3), at=9, token="january")
    assert (facts.rows, facts.at, facts.token) == (3, 9, "january")
    assert facts.spans == {"at": (3, 5, 1)}
    assert facts.digest == digest_file(tmp_path / facts.file)
    assert facts.size == (tmp_path / facts.file).stat().st_size
    assert pq.read_table(tmp_path / facts.file).equals(times(5, None, 3))


def test_equal_rows_make_equal_bytes(tmp_path: Path) -> None:
    one, two = (write_data_file(tmp_path, times(1, 2), at=0) for _ in range(2))
    assert one.file != two.file
    assert one.digest == two.digest


def test_no_rows_make_no_file_and_nulls_alone_no_span(tmp_path: Path) -> None:
    assert write_data_file(tmp_path, times(), at=0) == Facts(0, 0)
    assert [*tmp_path.iterdir()] == []
    assert write_data_file(tmp_path, times(None), at=0).spans == {}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageUnwritable, match="missing"):
        write_data_file(tmp_path / "missing", times(1), at=0)


@given(
    st.lists(st.integers(-9, 9) | st.none(), min_size=1, max_size=4),
    st.sampled_from(["__lt__", "__le__", "__eq__", "__ne__", "__gt__"]),
    st.integers(-9, 9),
)
def test_skipping_a_file_by_its_span_never_loses_a_row(
    tmp_path_factory: pytest.TempPathFactory, micros: list[int | None], compare: str, bound: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    facts = write_data_file(folder, times(*micros), at=0)
    place = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
    asked = getattr(ds.field("at"), compare)(pa.scalar(bound, TIME))
    found = fragment(place, facts).to_table(filter=asked)
    assert found.equals(times(*micros).filter(asked))


def test_a_changed_byte_is_noticed_on_reading(tmp_path: Path) -> None:
    facts = write_data_file(tmp_path, pa.table({"name": ["a-name-to-find"]}), at=0)
    path = tmp_path / facts.file
    size = path.stat().st_size
    content = bytearray(path.read_bytes())
    content[content.index(b"a-name-to-find")] ^= 1
    path.write_bytes(content)
    place = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    with pytest.raises(OSError, match=r"CRC|checksum|crc"):
        fragment(place, facts).to_table(fragment_scan_options=VERIFIED)
    assert problem_with(path, size, facts.digest) == (facts.digest, digest_file(path))


def test_a_missing_and_a_short_file_are_told_apart(tmp_path: Path) -> None:
    facts = write_data_file(tmp_path, times(1), at=0)
    path = tmp_path / facts.file
    size = path.stat().st_size
    assert problem_with(path, size, facts.digest) is None
    assert problem_with(path, size + 1) == (f"{size + 1} bytes", f"{size} bytes")
    path.unlink()
    assert problem_with(path, size) == ("a data file", "nothing")


def test_numbers_that_do_not_repeat_are_written_without_a_dictionary(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    rows = pa.table(
        {
            "drawn": random.random(10_000),
            "rounded": np.round(random.random(10_000), 1),
            "text": ["a", "b"] * 5_000,
            "vector": pa.array([[0.5, 0.25]] * 10_000),
        }
    )
    written = stream_data_file(tmp_path, rows.schema, [rows, rows])
    group = pq.read_metadata(tmp_path / written.file).row_group(0)
    encodings = {
        group.column(at).path_in_schema.split(".")[0]: "RLE_DICTIONARY" in group.column(at).encodings
        for at in range(group.num_columns)
    }
    assert encodings == {"drawn": False, "rounded": True, "text": True, "vector": False}
    assert pq.read_table(tmp_path / written.file).equals(pa.concat_tables([rows, rows]))
