"""What stands in the cells of an answer, whatever the type of the feature."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from esteira.features.cells import NOT_THERE, TOO_OLD, Cells

COLUMNS = [
    pa.array([1.5, 2.5, float("nan")]),
    pa.array([1, 2, 3], pa.int8()),
    pa.array([1, None, 3], pa.int64()),
    pa.array([1, 2, 3], pa.uint32()),
    pa.array([0.5, 1, 2], pa.float16()),
    pa.array([True, False, True]),
    pa.array(["a", "bb", None]),
    pa.array(["a", "bb", "a"]).dictionary_encode(),
    pa.array([datetime(2013, 1, 1, tzinfo=UTC)] * 3),
    pa.array([date(2013, 1, 1), date(2014, 1, 1), None]),
    pa.array([Decimal("1.25"), Decimal(2), Decimal(3)]),
    pa.array([[1], [2, 3], []]),
    pa.nulls(3),
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: str(column.type))
@pytest.mark.parametrize("chunks", [1, 3])
def test_a_column_of_any_type_is_taken_by_position(column: pa.Array, chunks: int) -> None:
    values = pa.chunked_array([column] if chunks == 1 else [column[at : at + 1] for at in range(3)])
    sliced = pa.chunked_array([pa.concat_arrays([column.take([1, 2, 0]), column]).slice(3)])
    wanted = np.array([2, NOT_THERE, 0, TOO_OLD, 1, 0])
    for offered in (values, sliced):
        found = Cells(wanted).take(offered)
        assert found.type == column.type
        expected = pa.chunked_array([column]).take(pa.array([2, None, 0, None, 1, 0]))
        assert repr(found.to_pylist()) == repr(expected.to_pylist())


def test_a_column_without_rows_gives_nulls_of_its_type() -> None:
    found = Cells(np.array([NOT_THERE])).take(pa.chunked_array([], pa.int16()))
    assert (found.type, found.to_pylist()) == (pa.int16(), [None])


def test_each_cell_says_why_it_is_empty() -> None:
    cells = Cells(np.array([0, 1, NOT_THERE, TOO_OLD]))
    taken = cells.take(pa.chunked_array([pa.array([7.0, None])]))
    assert cells.status(taken).to_pylist() == ["present", "null", "missing", "expired"]
    full = cells.take(pa.chunked_array([pa.array([7.0, 8.0])]))
    assert cells.status(full).to_pylist() == ["present", "present", "missing", "expired"]
