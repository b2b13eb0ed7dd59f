"""Columns become exact whole numbers, or are refused with the value that is in the way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.features.windows.columns import WrongWindow, amounts_of, check_unit, in_units, values_of


def events_of(values: Any, kind: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, kind)})


@given(st.lists(st.integers(-(10**11), 10**11)), st.sampled_from([1, 0.5, 0.01, 0.03, 100.0, 1e-6, 2.5e-3]))
def test_any_multiples_of_a_unit_are_found_and_given_back(multiples: list[int], unit: float) -> None:
    floats = in_units(np.array(multiples, np.int64), unit)
    assert amounts_of(events_of(floats), "x", unit).values.tolist() == multiples


def test_a_sum_of_cents_is_what_it_is_on_paper() -> None:
    amounts = amounts_of(events_of([0.1, 0.2, 0.1 + 0.2]), "x", 0.01)
    assert in_units(amounts.values.sum(), 0.01) == 0.6
    assert in_units(np.array([10, 20]), 0.01, np.array([3, 4])).tolist() == [0.1 / 3, 0.05]


def test_null_and_nan_are_no_values() -> None:
    found = amounts_of(events_of(np.array([1.0, np.nan])).take([0, 1, None]), "x", 1.0)
    assert (found.values.tolist(), found.counts.tolist()) == ([1, 0, 0], [1, 0, 0])


@pytest.mark.parametrize(
    ("values", "kind", "multiples"),
    [
        ([Decimal("12.30"), Decimal("-0.01")], pa.decimal128(30, 10), [1230, -1]),
        ([3, None], pa.int64(), [300, 0]),
        (np.array([12.34, -0.07], np.float32), None, [1234, -7]),
        ([None], pa.null(), [0]),
    ],
)
def test_decimals_narrow_floats_and_integers_have_multiples_too(
    values: Any, kind: pa.DataType | None, multiples: list[int]
) -> None:
    assert amounts_of(events_of(values, kind), "x", 0.01).values.tolist() == multiples


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        ([1.0, 12.345], None, "holds 12.345, which is no whole multiple of 0.01; round it"),
        ([Decimal("0.0001")], None, "holds 0.0001, which is no whole multiple of 0.01"),
        ([1e14], None, r"holds 100000000000000.0, which is too large .* give a larger unit"),
        (np.array([1e6], np.float32), None, "too large"),
        ([float("inf")], None, "holds inf, which is too large"),
        ([float("-inf")], None, "holds -inf"),
        ([2**60 + 1], pa.int64(), "beyond 2"),
        (["1.5"], None, "is string; only numbers have a unit"),
    ],
)
def test_what_is_no_multiple_of_the_unit_is_named(values: Any, kind: pa.DataType | None, said: str) -> None:
    with pytest.raises(WrongWindow, match=said):
        amounts_of(events_of(values, kind), "x", 0.01)


def test_floats_without_a_unit_are_refused_with_the_mend() -> None:
    with pytest.raises(WrongWindow, match=r"is double; .* unit=0\.01"):
        amounts_of(events_of([1.5]), "x", None)


@pytest.mark.parametrize("unit", [0, -0.01, float("inf"), float("nan")])
def test_a_unit_is_above_zero_and_finite(unit: float) -> None:
    with pytest.raises(WrongWindow, match="above zero"):
        check_unit(unit)
    check_unit(0.01)
    check_unit(None)


def test_dictionaries_and_views_of_text_are_looked_up() -> None:
    words = pa.array(["a", None, "a"])
    for stored in (words.dictionary_encode(), words.cast(pa.string_view())):
        assert values_of(pa.table({"x": stored}), "x").combine_chunks().equals(words)
