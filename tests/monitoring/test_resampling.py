from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.monitoring.profiles import fit_bins
from esteira.monitoring.resampling import Null, Resampling, stability_index
from esteira.registry.signature import Column, Signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    World = Callable[[np.random.Generator, int, int], NDArray[np.float64]]

COUNTS = st.lists(st.integers(0, 1000), min_size=2, max_size=8)
ONE_NUMBER = Signature((Column("x"),), "late")
DAYS, DAY_ROWS, WINDOW_DAYS = 90, 150, 7
LEVELS = (0.05, 0.01)


def _alike(rng: np.random.Generator, days: int, rows: int) -> NDArray[np.float64]:
    return rng.normal(size=(days, rows))


def _zero_inflated(rng: np.random.Generator, days: int, rows: int) -> NDArray[np.float64]:
    return np.where(rng.random((days, rows)) < 0.9, 0, rng.exponential(size=(days, rows)))


def _zipf(rng: np.random.Generator, days: int, rows: int) -> NDArray[np.float64]:
    weights = 1 / np.arange(1, 201)
    return rng.choice(200, size=(days, rows), p=weights / weights.sum()).astype(np.float64)


def _days_differ(rng: np.random.Generator, days: int, rows: int) -> NDArray[np.float64]:
    return rng.normal(size=(days, rows)) + 0.3 * rng.normal(size=(days, 1))


def _days_last(rng: np.random.Generator, days: int, rows: int) -> NDArray[np.float64]:
    """Each day is half what the day before was."""
    shift = rng.normal(size=days)
    for day in range(1, days):
        shift[day] = 0.5 * shift[day - 1] + math.sqrt(0.75) * shift[day]
    return rng.normal(size=(days, rows)) + 0.3 * shift[:, None]


def _alarms(world: World, rows: int, references: int = 40, windows: int = 30) -> dict[float, int]:
    """Level → how many of 1,200 windows, in which nothing moved, exceed its threshold."""
    rng, resampling, alarms = (
        np.random.default_rng(1),
        Resampling(DAYS, WINDOW_DAYS),
        dict.fromkeys(LEVELS, 0),
    )
    for _ in range(references):
        days = world(rng, DAYS + windows * WINDOW_DAYS, DAY_ROWS)
        (bins,) = fit_bins(days[:DAYS].reshape(-1, 1), ONE_NUMBER)
        counts = np.stack([bins.count(day) for day in days[:DAYS]])
        null = resampling.null(counts, rows)
        later = rng.permuted(days[DAYS:].reshape(windows, -1), axis=1)[:, :rows]
        figures = stability_index(counts.sum(axis=0), np.stack([bins.count(window) for window in later]))
        for level in LEVELS:
            alarms[level] += int((figures > null.threshold(level)).sum())
    return alarms


@pytest.mark.parametrize("rows", [DAY_ROWS * WINDOW_DAYS, 400])
@pytest.mark.parametrize("world", [_alike, _zero_inflated, _zipf, _days_differ])
def test_where_nothing_moves_alarms_are_as_frequent_as_planned(world: World, rows: int) -> None:
    for level, alarms in _alarms(world, rows).items():
        reach = 3.29 * math.sqrt(1200 * level * (1 - level))  # the binomial 99.9 % interval
        assert abs(alarms - 1200 * level) <= reach, level


def test_days_that_resemble_the_day_before_cost_at_most_twice_the_alarms() -> None:
    # A threshold that takes days as independent gives four times the planned 5 %.
    assert _alarms(_days_last, DAY_ROWS * WINDOW_DAYS)[0.05] <= 2 * 0.05 * 1200


@given(COUNTS, st.data())
def test_the_figure_is_finite_and_zero_only_for_equal_shares(counts: list[int], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.integers(0, 1000), min_size=len(counts), max_size=len(counts)))
    there = float(stability_index(np.array(counts), np.array(other)))
    back = float(stability_index(np.array(other), np.array(counts)))
    assert math.isfinite(there)
    assert there >= 0
    assert math.isclose(there, back, abs_tol=1e-12)
    assert stability_index(np.array(counts), np.array(counts)) == 0


@given(st.floats(0.0001, 0.4), st.floats(0, 20))
def test_a_figure_beyond_the_threshold_is_one_with_a_smaller_chance(alpha: float, figure: float) -> None:
    null = Null(np.sort(np.random.default_rng(0).chisquare(5, 2000)))
    beyond, rarer = figure > null.threshold(alpha), null.p_value(figure) < alpha
    assert beyond == rarer or math.isclose(null.p_value(figure), alpha, rel_tol=0.05)


def test_the_chance_falls_as_the_figure_grows_and_does_not_reach_zero_soon() -> None:
    null = Null(np.sort(np.random.default_rng(0).chisquare(5, 2000)))
    chances = [null.p_value(figure) for figure in np.linspace(0, 60, 200)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] == 1.0
    assert 0 < chances[-1] < 1e-6


def test_days_that_are_all_the_same_leave_nothing_to_chance() -> None:
    null = Resampling(20, 7).null(np.tile([[50, 50, 0]], (20, 1)), 700)
    assert null.threshold(0.01) - null.values[0] < 1e-6
    assert null.p_value(0.5) < 1e-6


def test_a_smaller_window_needs_a_greater_figure() -> None:
    counts = np.random.default_rng(0).multinomial(1000, [0.1] * 10, size=DAYS)
    resampling = Resampling(DAYS, WINDOW_DAYS)
    thresholds = [resampling.null(counts, rows).threshold(0.01) for rows in (7000, 700, 70)]
    assert thresholds == sorted(thresholds)
    assert thresholds[2] > 5 * thresholds[0]


def test_the_same_reference_always_gives_the_same_threshold() -> None:
    counts = np.random.default_rng(0).multinomial(100, [0.1] * 10, size=30)
    once, again = (Resampling(30, 7).null(counts, 400).threshold(0.01) for _ in range(2))
    assert once == again
