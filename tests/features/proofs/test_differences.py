from __future__ import annotations

import math

import pyarrow as pa
import pytest

from esteira.features.proofs.differences import common_places, unequal
from esteira.features.times import UTC_MICROS

FLAGS = (True, False)


def column(*values: object, kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (column(1, 2), column(1, 3), [False, True]),
        (column(1, None), column(1.0, 0.0), [False, True]),
        (column(None, math.nan, None), column(math.nan, None, None), [False, False, False]),
        (column(1.0, 1.0), column(1.0 + 1e-12, 1.0 + 1e-6), [False, True]),
        (column(0.0), column(1e-300), [True]),
        (column(None, kind=pa.null()), column(2), [True]),
        (column("a", None), column("b", "b"), [True, True]),
        (column("a", None), column("a", None), [False, False]),
        (column(*FLAGS), column(*FLAGS[:1] * 2), [False, True]),
        (column([1.0], [2.0]), column([1.0], [3.0]), [False, True]),
    ],
)
def test_values_differ_when_they_do_and_not_by_rounding(
    one: pa.ChunkedArray, other: pa.ChunkedArray, expected: list[bool]
) -> None:
    assert unequal(one, other).tolist() == expected
    assert unequal(other, one).tolist() == expected


def table(times: list[int], ids: list[str]) -> pa.Table:
    return pa.table({"at": pa.array(times, UTC_MICROS), "id": ids})


def test_rows_are_found_by_their_id_wherever_they_stand() -> None:
    one, other = table([1, 2, 3, 9], list("abcd")), table([3, 9, 1], list("cda"))
    places = common_places(one, other, "at", "id", moment=5)
    assert [each.tolist() for each in places] == [[0, 2], [2, 0]]


def test_without_an_id_rows_are_found_by_their_place_in_time() -> None:
    one, other = table([9, 1, 2], list("xxx")), table([1, 2, 8, 9], list("xxxx"))
    places = common_places(one, other, "at", "", moment=5)
    assert [each.tolist() for each in places] == [[1, 2], [0, 1]]


def test_without_an_id_another_number_of_rows_cannot_be_compared() -> None:
    places = common_places(table([1, 2], list("xx")), table([1], ["x"]), "at", "", moment=5)
    assert [each.tolist() for each in places] == [[], []]
