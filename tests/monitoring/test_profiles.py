from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from esteira.base.records import Profile
from esteira.monitoring import profiles as room
from esteira.monitoring.profiles import MOST_BINS, MOST_CATEGORIES, Bins, count_rows, fit_bins
from esteira.registry.signature import Column, Signature

if TYPE_CHECKING:
    import pytest
    from numpy.typing import NDArray

MILES = Column("miles")
CARRIER = Column("carrier", "category", ("AA", "B6", "UA"))
VALUES = hnp.arrays(np.float64, st.integers(0, 60), elements=st.floats(allow_subnormal=False))


def _fit(column: Column, values: NDArray[np.float64]) -> Bins:
    (bins,) = fit_bins(values.reshape(-1, 1), Signature((column,), "late"))
    return bins


@given(VALUES, VALUES)
def test_each_value_falls_in_the_bin_that_starts_at_the_last_edge_not_above_it(
    reference: NDArray[np.float64], values: NDArray[np.float64]
) -> None:
    bins = _fit(MILES, reference)
    expected = [0] * bins.width
    for value in values:
        place = -1 if math.isnan(value) else sum(value >= edge for edge in bins.edges)
        expected[place] += 1
    assert bins.count(values).tolist() == expected


@given(VALUES, st.integers(0, 60))
def test_the_counts_of_shards_add_up_to_those_of_the_whole(values: NDArray[np.float64], cut: int) -> None:
    bins = _fit(MILES, values)
    whole = bins.count(values)
    assert (bins.count(values[:cut]) + bins.count(values[cut:])).tolist() == whole.tolist()
    assert (whole - bins.count(values[:cut])).tolist() == bins.count(values[cut:]).tolist()


@given(VALUES)
def test_bins_and_profiles_survive_json(values: NDArray[np.float64]) -> None:
    bins = _fit(MILES, values)
    assert Bins.from_plain(json.loads(json.dumps(bins.to_plain(), allow_nan=False))) == bins
    assert list(bins.edges) == sorted(set(bins.edges))
    assert bins.width <= MOST_BINS + 1


def test_a_number_with_many_values_is_cut_into_equal_shares() -> None:
    values = np.random.default_rng(0).normal(size=100_000)
    counts = _fit(MILES, values).count(values)
    assert len(counts) == MOST_BINS + 1
    assert counts[-1] == 0
    assert np.allclose(counts[:-1] / len(values), 1 / MOST_BINS, atol=0.005)


def test_a_number_with_few_values_has_a_bin_for_each_and_for_what_lies_outside() -> None:
    bins = _fit(MILES, np.array([0.0, 1.0, 1.0, 5.0]))
    assert bins.count(np.array([-1, 0, 1, 1, 5, 6, math.nan])).tolist() == [1, 1, 2, 1, 1, 1]


def test_a_value_that_fills_more_than_a_bin_has_one_for_itself() -> None:
    rng = np.random.default_rng(0)
    rain = np.where(rng.random(10_000) < 0.9, 0.0, rng.exponential(size=10_000))
    bins = _fit(Column("rain"), rain)
    zeros = int((rain == 0).sum())
    assert zeros in bins.count(rain).tolist()
    assert np.count_nonzero(bins.count(rain)) >= 15


def test_a_column_without_values_has_only_the_missing() -> None:
    for column in (MILES, CARRIER, Column("empty", "category")):
        assert _fit(column, np.full(5, math.nan)).count(np.full(3, math.nan)).tolist()[-1] == 3


def test_infinite_values_are_counted_at_the_ends() -> None:
    bins = _fit(MILES, np.array([1.0, 2.0, math.inf]))
    assert bins.count(np.array([-math.inf, 1.5, math.inf])).tolist() == [1, 1, 0, 1, 0]


def test_categories_are_counted_by_name_and_the_unknown_apart() -> None:
    bins = _fit(CARRIER, np.array([0.0, 2.0, 2.0, 1.0]))
    assert bins.categories == ("AA", "B6", "UA")
    assert bins.count(np.array([0, 2, 2, 7, -1, math.nan])).tolist() == [1, 0, 2, 2, 1]


def test_the_rarest_of_very_many_categories_are_one_bin() -> None:
    tails = Column("tail", "category", tuple(f"N{number:03d}" for number in range(200)))
    rows = np.repeat(np.arange(200.0), np.where(np.arange(200) % 4 == 0, 9, 1))
    bins = _fit(tails, rows)
    assert len(bins.categories) == MOST_CATEGORIES
    assert set(bins.categories) == {f"N{number:03d}" for number in range(0, 200, 4)}
    assert bins.count(rows).tolist() == [9] * MOST_CATEGORIES + [150, 0]


def test_a_profile_is_the_record_of_its_counts() -> None:
    bins = Bins("miles", edges=(1.0,))
    assert bins.profile(bins.count(np.array([0.0, 2.0]))) == Profile("miles", (1.0,), (1, 1, 0))


def test_a_matrix_is_counted_column_by_column_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    matrix = np.column_stack([rng.normal(size=1000), rng.integers(0, 3, 1000)])
    matrix[::7] = math.nan
    bins = fit_bins(matrix, Signature((MILES, CARRIER), "late"))
    monkeypatch.setattr(room, "_BLOCK_ROWS", 64)
    found = count_rows(bins, matrix)
    assert [each.tolist() for each in found] == [b.count(matrix[:, j]).tolist() for j, b in enumerate(bins)]
    assert [int(each.sum()) for each in count_rows(bins, matrix[:0])] == [0, 0]


def test_edges_of_a_large_matrix_are_cut_on_a_sample_and_are_always_the_same() -> None:
    matrix = np.random.default_rng(0).normal(size=(200_000, 1))
    once, again = (fit_bins(matrix, Signature((MILES,), "late")) for _ in range(2))
    assert once == again
    assert np.allclose(count_rows(once, matrix)[0][:-1] / 200_000, 1 / MOST_BINS, atol=0.01)
