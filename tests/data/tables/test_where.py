from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, NaiveTime, UnknownName
from esteira.data.tables.schema import TIME
from esteira.data.tables.where import condition

ROWS = pa.table({"n": range(5), "at": pa.array(range(5), pa.int64()).cast(TIME)})
SIGNS = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def test_nothing_asked_is_no_condition() -> None:
    assert condition("t", [], ROWS.schema) is None


@given(st.lists(st.tuples(st.sampled_from([*SIGNS]), st.integers(-1, 6)), min_size=1, max_size=3))
def test_all_conditions_hold_at_once(asked: list[tuple[str, int]]) -> None:
    found = ROWS.filter(condition("t", [("n", sign, value) for sign, value in asked], ROWS.schema))
    assert found["n"].to_pylist() == [
        n for n in range(5) if all(SIGNS[sign](n, value) for sign, value in asked)
    ]


def test_a_time_of_any_zone_is_the_moment_that_it_names() -> None:
    rome = datetime(1970, 1, 1, 1, 0, 0, 3, tzinfo=timezone(timedelta(hours=1)))
    assert ROWS.filter(condition("t", [("at", "in", [rome])], ROWS.schema))["n"].to_pylist() == [3]
    assert ROWS.filter(condition("t", [("at", ">", rome)], ROWS.schema))["n"].to_pylist() == [4]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (("m", "==", 1), UnknownName),
        (("n", "like", 1), BadInput),
        (("n", "in", 1), BadInput),
        (("at", "in", [datetime(2013, 7, 1)]), NaiveTime),  # noqa: DTZ001 - a time without a zone is what is tried
    ],
)
def test_what_cannot_be_asked_is_refused(asked: tuple[str, str, Any], error: type[BadInput]) -> None:
    with pytest.raises(error):
        condition("t", [asked], ROWS.schema)
