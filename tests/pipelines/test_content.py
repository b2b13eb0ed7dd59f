"""The identity of a value is its content."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.digest import canonical_json
from esteira.base.errors import NaiveTime
from esteira.pipelines.content import Unhashable, content, plain_odd


class Colour(Enum):
    RED = 1
    CRIMSON = 2


@dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.0


NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
DIFFERENT: list[Any] = [
    None, True, 1, 1.5, "1", "", [], (), {}, set(), [1], (1,), {1}, [1, 2], [2, 1], [[1], 2], [1, [2]],
    {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": [1]}, {"tuple": [1]}, b"1", 1 + 2j,
    Decimal("1.0"), Decimal("1.00"), NOON, NOON.isoformat(), NOON.date(), NOON.time(),
    timedelta(days=1), timedelta(days=2), Colour.RED,
    Colour.CRIMSON, Point(1), Point(2), Point(1, 2.0), {"x": 1, "y": 0.0}, UUID(int=1), range(3), slice(3),
    re.compile("a"), re.compile("a", re.IGNORECASE), PurePosixPath("a"), ...,
    np.array([1, 2]), np.array([1.0, 2.0]), np.array([[1, 2]]), np.array([1, 3]), np.int64(1),
    pa.table({"a": [1]}), pa.table({"a": [2]}), pa.table({"b": [1]}), pa.array([1]), pa.int64(), pa.int32(),
    pa.schema([("a", pa.int64())]), pa.schema([("a", pa.int32())]),
]  # fmt: skip


def spelled(value: object) -> bytes:
    return canonical_json(content(value, plain_odd))


def test_different_values_have_different_content() -> None:
    seen = {spelled(value): value for value in DIFFERENT}
    assert len(seen) == len(DIFFERENT)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)


@given(json_values, json_values)
def test_content_is_equal_exactly_when_values_and_types_are(one: object, other: object) -> None:
    def typed(value: Any) -> Any:
        if isinstance(value, dict):
            return ("dict", [(name, typed(each)) for name, each in value.items()])
        if isinstance(value, list | tuple):
            return (type(value).__name__, [typed(each) for each in value])
        return (type(value).__name__, repr(value))

    assert (spelled(one) == spelled(other)) == (typed(one) == typed(other))


def test_the_order_of_a_set_is_no_content() -> None:
    assert spelled({"a", "b", "c"}) == spelled({"c", "b", "a"})


def test_the_chunks_of_a_table_are_no_content() -> None:
    whole, halves = pa.table({"a": [1, 2]}), pa.concat_tables([pa.table({"a": [1]}), pa.table({"a": [2]})])
    assert spelled(whole) == spelled(halves)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(NaiveTime):
        content([datetime(2013, 1, 1)], plain_odd)  # noqa: DTZ001 - a time without a zone is what is tried


def test_a_date_and_a_time_of_day_need_no_zone() -> None:
    assert spelled(date(2013, 1, 1)) != spelled(time(1, 1))


@pytest.mark.parametrize(
    "value", [object(), len, lambda: 1, math.nan, [math.inf], {"a": object()}, np.array([{}])]
)
def test_a_value_without_content_is_refused(value: object) -> None:
    with pytest.raises(Unhashable, match="make it an input"):
        content(value, plain_odd)


def test_a_container_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(Unhashable, match="list that holds itself"):
        content(endless, plain_odd)
