from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from esteira.features.statistics import BINS, FeatureStatistics, describe_feature


def described(values: object, kind: pa.DataType | None = None) -> FeatureStatistics:
    return describe_feature("f", pa.chunked_array([pa.array(values, kind)]))


def test_a_number_is_measured_as_numpy_measures_it() -> None:
    values = np.random.default_rng(3).normal(10, 2, 5000)
    told = described(values)
    assert (told.rows, told.nulls, told.distinct) == (5000, 0, 5000)
    assert told.mean == pytest.approx(values.mean())
    assert told.std == pytest.approx(values.std())
    assert (told.low, told.high) == (values.min(), values.max())
    assert told.quantiles == pytest.approx(np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95)))


def test_a_histogram_counts_every_value_also_those_in_the_tails() -> None:
    values = [*range(1000), 10**9]
    told = described(values)
    assert len(told.counts) == BINS
    assert sum(told.counts) == len(values)
    assert told.edges[-1] < 2000  # a far value does not squeeze the others into one bin
    assert told.high == 10**9


@pytest.mark.parametrize(("values", "edges"), [([5.0] * 9, (5.0, 5.0)), ([0.0] * 999 + [1.0], (0.0, 1.0))])
def test_a_constant_and_a_nearly_constant_feature_have_a_histogram_too(
    values: list[float], edges: tuple[float, float]
) -> None:
    told = described(values)
    assert (told.edges[0], told.edges[-1]) == edges
    assert sum(told.counts) == len(values)


def test_nan_counts_as_null_and_infinity_as_a_value_without_measure() -> None:
    told = described([1.0, math.nan, None, math.inf])
    assert (told.nulls, told.distinct, told.mean, told.null_share) == (2, 2, 1.0, 0.5)
    assert sum(told.counts) == 1


@pytest.mark.parametrize("values", [[], [None, None], [math.nan]])
def test_a_feature_without_values_has_no_measures(values: list[float | None]) -> None:
    told = described(values, pa.float64())
    assert (told.nulls, told.mean, told.quantiles, told.counts) == (len(values), None, (), ())
    assert told.null_share == (1.0 if values else 0.0)


def test_text_has_its_most_frequent_values_in_one_order_always() -> None:
    told = described(["b", "a", "b", None, "a", "c"])
    assert told.top == (("a", 2), ("b", 2), ("c", 1))
    assert (told.nulls, told.distinct, told.mean) == (1, 3, None)
    coded = describe_feature("f", pa.chunked_array([pa.array(["b", "a"]).dictionary_encode()]))
    assert coded.top == (("a", 1), ("b", 1))


def test_flags_are_counted_and_decimals_measured() -> None:
    assert described([True, False, True, None]).top == (("true", 2), ("false", 1))
    assert described([Decimal("1.5"), Decimal("2.5")]).mean == 2.0
