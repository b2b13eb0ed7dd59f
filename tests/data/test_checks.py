from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import CheckFailed, NaiveTime
from esteira.data.checks import (
    BatchRefused,
    Check,
    Checked,
    CheckResult,
    Fresh,
    HasColumns,
    InRange,
    NotNull,
    OneOf,
    Unique,
    validate,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2013, 7, 1, 12, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")


def judged(rows: pa.Table, *checks: Check) -> Checked:
    return validate(rows, checks, NOW)


def reasons(rows: pa.Table, *checks: Check) -> list[str]:
    return judged(rows, *checks).bad["_reason"].to_pylist()


# Rows


def test_a_good_batch_comes_back_as_it_was() -> None:
    rows = pa.table({"miles": [1, 2], "carrier": ["UA", "AA"]})
    checked = judged(rows, NotNull(("miles", "carrier")), Unique(("carrier",)))
    assert checked.ok
    assert checked.good.equals(rows)
    assert checked.bad.num_rows == 0
    assert checked.bad.column_names == ["miles", "carrier", "_reason"]
    assert checked.reasons == {}


def test_a_row_says_all_that_is_wrong_with_it() -> None:
    rows = pa.table({"miles": [None, 5, -1], "carrier": [None, "UA", "??"]})
    checks = (NotNull(("miles", "carrier")), InRange("miles", 0, 9), OneOf("carrier", ("UA", "AA")))
    checked = judged(rows, *checks)
    assert checked.bad["_reason"].to_pylist() == [
        "miles is null; carrier is null",
        "miles is outside 0 to 9; carrier is not a known value",
    ]
    assert checked.good.to_pylist() == [{"miles": 5, "carrier": "UA"}]
    assert checked.results == tuple(CheckResult(check, 3, 1) for check in checks)
    assert checked.reasons == {
        "miles is null": 1,
        "carrier is null": 1,
        "miles is outside 0 to 9": 1,
        "carrier is not a known value": 1,
    }


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (InRange("x", 0, 1), ["x is outside 0 to 1"] * 3),
        (InRange("x", low=0), ["x is below 0"] * 2),
        (InRange("x", high=1), ["x is above 1"] * 2),
        (InRange("x"), []),
    ],
)
def test_both_ends_of_a_range_belong_to_it_and_nan_lies_in_none(check: InRange, expected: list[str]) -> None:
    assert reasons(pa.table({"x": [0.0, 1.0, -0.1, 1.1, math.nan, None]}), check) == expected


def test_a_range_of_times_is_judged_by_the_moment() -> None:
    rows = pa.table({"at": pa.array([NOW, NOW + timedelta(days=1)], TIME)})
    assert len(reasons(rows, InRange("at", high=NOW))) == 1
    with pytest.raises(NaiveTime, match="a bound of at"):
        InRange("at", high=datetime(2013, 7, 1))  # noqa: DTZ001 - a time without a zone is what is tried


def test_a_null_is_no_unknown_value_and_no_value_out_of_range() -> None:
    assert judged(pa.table({"x": pa.array([None], pa.int64())}), OneOf("x", (1,)), InRange("x", 0, 1)).ok


def test_the_first_of_equal_rows_is_kept_and_null_equals_null() -> None:
    rows = pa.table({"a": [1, 1, 1, None, None], "b": ["x", "y", "x", None, None], "n": range(5)})
    checked = judged(rows, Unique(("a", "b")))
    assert checked.good["n"].to_pylist() == [0, 1, 3]
    assert checked.bad["_reason"].to_pylist() == ["a+b repeats"] * 2


@pytest.mark.parametrize("unique_first", [True, False])
def test_a_bad_row_does_not_push_out_a_good_one_of_the_same_key(*, unique_first: bool) -> None:
    rows = pa.table({"id": [7, 7, 7], "miles": [-1, 5, 6]})
    checks: list[Check] = [Unique(("id",)), InRange("miles", 0, 9)]
    checked = judged(rows, *(checks if unique_first else reversed(checks)))
    assert checked.good.to_pylist() == [{"id": 7, "miles": 5}]
    assert checked.bad["_reason"].to_pylist() == ["miles is outside 0 to 9", "id repeats"]


CHECKS: Sequence[Check] = (
    NotNull(("a",)),
    NotNull(("a", "b")),
    InRange("a", 0, 3),
    InRange("a", low=2),
    OneOf("b", ("x", "y")),
    Unique(("a",)),
    Unique(("a", "b")),
)


@given(
    st.lists(st.tuples(st.integers(-1, 4) | st.none(), st.sampled_from("xyz") | st.none()), max_size=12),
    st.lists(st.sampled_from(CHECKS), max_size=5),
)
def test_every_row_is_either_good_or_bad_with_a_reason_and_keeps_its_values(
    values: list[tuple[int | None, str | None]], checks: list[Check]
) -> None:
    rows = pa.table(
        {
            "n": pa.array(range(len(values)), pa.int64()),
            "a": pa.array([a for a, _ in values], pa.int64()),
            "b": pa.array([b for _, b in values], pa.string()),
        }
    )
    checked = judged(rows, *checks)
    assert checked.good.num_rows + checked.bad.num_rows == rows.num_rows
    whole = pa.concat_tables([checked.good, checked.bad.drop_columns(["_reason"])]).sort_by("n")
    assert whole.equals(rows)
    assert all(checked.bad["_reason"].to_pylist())
    assert judged(checked.good, *checks).ok
    said = [reason for each in checked.bad["_reason"].to_pylist() for reason in each.split("; ")]
    assert {reason: said.count(reason) for reason in said} == checked.reasons
    assert [result.check for result in checked.results] == checks


# Batches


def test_a_batch_without_a_column_or_with_another_type_is_refused() -> None:
    schema = pa.schema({"a": pa.int64(), "b": pa.string(), "c": TIME})
    with pytest.raises(BatchRefused) as caught:
        judged(pa.table({"b": [1], "a": [1], "more": [1]}), HasColumns(schema))
    refusal = "b is int64, expected string, c is missing, expected timestamp[us, tz=UTC]"
    assert caught.value.refusals == (refusal,)
    assert isinstance(caught.value, CheckFailed)
    assert "nothing was written" in str(caught.value)
    assert judged(pa.table({"b": ["x"], "a": [1]}), HasColumns(pa.schema({"a": pa.int64()}))).ok


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        ([-1, -3], ""),
        ([-2, None], ""),
        ([-3], "more than 2:00:00 old"),
        ([-3, 1], "more than 2:00:00 old"),  # a wrong future row must not hide that the feed stopped
        ([1], "has no time up to now"),
        ([None], "has no time up to now"),
        ([], "has no time up to now"),
    ],
)
def test_a_stale_batch_is_refused(hours: list[int | None], said: str) -> None:
    at = [None if hour is None else NOW + timedelta(hours=hour) for hour in hours]
    rows = pa.table({"at": pa.array(at, TIME)})
    if not said:
        assert judged(rows, Fresh("at", timedelta(hours=2))).ok
        return
    with pytest.raises(BatchRefused, match=said):
        judged(rows, Fresh("at", timedelta(hours=2)))


def test_all_refusals_are_said_at_once() -> None:
    with pytest.raises(BatchRefused) as caught:
        judged(
            pa.table({"at": [1], "_reason": ["x"]}),
            HasColumns(pa.schema({"a": pa.int64()})),
            Fresh("at", timedelta(hours=1)),
        )
    assert len(caught.value.refusals) == 3


@pytest.mark.parametrize(
    "check", [NotNull(("b",)), InRange("b", 0, 1), OneOf("b", (1,)), Unique(("b",)), Fresh("b", timedelta())]
)
def test_a_check_of_a_column_that_is_not_there_refuses_the_batch(check: Check) -> None:
    with pytest.raises(BatchRefused, match=r"'b'.* cannot be made"):
        judged(pa.table({"a": [1]}), check)


@pytest.mark.parametrize("check", [InRange("a", 0, 1), OneOf("a", (1,)), Fresh("a", timedelta())])
def test_a_check_that_does_not_fit_the_type_refuses_the_batch(check: Check) -> None:
    with pytest.raises(BatchRefused, match="cannot be made"):
        judged(pa.table({"a": ["text"]}), check)


def test_a_moment_without_zone_is_refused() -> None:
    with pytest.raises(NaiveTime):
        validate(pa.table({"a": [1]}), [], datetime(2013, 7, 1))  # noqa: DTZ001 - a time without a zone is what is tried
