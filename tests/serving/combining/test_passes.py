from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.serving.combining.passes import ManyRows, OneRow

if TYPE_CHECKING:
    from esteira.serving.combining.passes import Rows


class Counted:
    """A source that gives the first column, and keeps which rows it was asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def of_row(self, one: OneRow) -> float:
        self.asked.append(one.row)
        return one.row[0]

    def of_rows(self, many: ManyRows, rows: Rows) -> Any:
        self.asked.append(rows.tolist())
        return many.of(rows)[:, 0]

    def begin_row(self, one: OneRow) -> None:
        self.asked.append("begun")

    def begin_rows(self, many: ManyRows, rows: Rows) -> None:
        self.asked.append(("begun", rows.tolist()))


def test_a_source_is_asked_once_for_a_row() -> None:
    source = Counted()
    one = OneRow([source], [0.5])
    assert [one.value(0), one.value(0)] == [0.5, 0.5]
    one.begin(0)
    assert source.asked == [[0.5]]


def test_a_source_is_asked_only_for_the_rows_that_were_not_asked() -> None:
    source, matrix = Counted(), np.arange(5.0).reshape(5, 1)
    many = ManyRows([source], matrix)
    assert many.values(0, np.array([3, 1])).tolist() == [3.0, 1.0]
    assert many.values(0, np.array([0, 1, 3])).tolist() == [0.0, 1.0, 3.0]
    many.begin(0, np.array([1, 4]))
    many.begin(0, np.array([1, 3]))
    assert source.asked == [[3, 1], [0], ("begun", [4])]
    assert np.array_equal(many.given[0], [0, 1, np.nan, 3, np.nan], equal_nan=True)


def test_all_rows_are_the_matrix_itself_and_no_rows_ask_nobody() -> None:
    source, matrix = Counted(), np.ones((3, 1))
    many = ManyRows([source], matrix)
    assert many.of(np.arange(3)) is matrix
    assert many.values(0, np.array([], dtype=np.intp)).shape == (0,)
    assert source.asked == []


def test_the_first_reason_of_a_member_is_kept() -> None:
    one, many = OneRow([], []), ManyRows([], np.empty((0, 1)))
    for asked in (one, many):
        asked.fail("a", ValueError("first"))
        asked.fail("a", ValueError("second"))
        assert str(asked.failures["a"]) == "first"
