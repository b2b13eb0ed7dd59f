"""Calibration: that it finds what is there, and that its intervals cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.training.calibration import calibration_error, calibration_intercept, calibration_slope


def drawn(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels that come true as often as the scores say."""
    draw = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-draw.normal(-1, 1.2, rows)))
    return (draw.random(rows) < scores).astype(np.float64), scores


def logit(scores: np.ndarray) -> np.ndarray:
    return np.log(scores / (1 - scores))


def bent(scores: np.ndarray, slope: float, shift: float) -> np.ndarray:
    return 1 / (1 + np.exp(-(slope * logit(scores) + shift)))


def test_scores_that_come_true_have_no_error_slope_one_and_intercept_zero() -> None:
    labels, scores = drawn(100_000, 1)
    assert calibration_error(labels, scores).value < 0.005
    assert calibration_slope(labels, scores).value == pytest.approx(1, abs=0.03)
    assert calibration_intercept(labels, scores).value == pytest.approx(0, abs=0.03)


def test_scores_that_are_too_high_show_it_in_error_and_intercept() -> None:
    labels, scores = drawn(20_000, 2)
    high = bent(scores, 1, 1)
    assert calibration_error(labels, high).low > 0.1
    assert calibration_intercept(labels, high).value == pytest.approx(-1, abs=0.06)
    assert calibration_slope(labels, high).value == pytest.approx(1, abs=0.06)


def test_scores_that_are_too_extreme_have_a_slope_below_one() -> None:
    labels, scores = drawn(20_000, 3)
    assert calibration_slope(labels, bent(scores, 2, 0)).value == pytest.approx(0.5, abs=0.03)


def test_the_error_is_the_mean_distance_of_score_and_frequency() -> None:
    labels = np.array([0.0, 1.0, 1.0, 1.0])
    scores = np.array([0.2, 0.2, 0.9, 0.9])
    assert calibration_error(labels, scores, bins=2).value == pytest.approx((0.3 + 0.1) / 2)


@given(st.integers(0, 1000), st.integers(20, 400))
def test_the_order_of_rows_changes_nothing(seed: int, rows: int) -> None:
    labels, scores = drawn(rows, seed)
    scores = scores.round(1)  # many ties
    order = np.random.default_rng(seed).permutation(rows)
    moved = calibration_error(labels[order], scores[order])
    assert moved.value == pytest.approx(calibration_error(labels, scores).value, abs=1e-12)


@given(st.integers(0, 1000), st.integers(2, 300), st.integers(1, 20))
def test_the_error_lies_in_its_interval_and_between_zero_and_one(seed: int, rows: int, bins: int) -> None:
    found = calibration_error(*drawn(rows, seed), bins=bins)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_sure_scores_give_finite_figures() -> None:
    labels, scores = np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.0, 1.0, 0.0, 1.0])
    for metric in (calibration_error, calibration_slope, calibration_intercept):
        assert np.isfinite(metric(labels, scores).value)


def test_scores_that_part_the_classes_end_in_a_finite_slope() -> None:
    labels = np.array([0.0] * 50 + [1.0] * 50)
    assert np.isfinite(calibration_slope(labels, np.linspace(0.01, 0.99, 100)).value)


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (1.5, 0.4)])
def test_the_intervals_hold_the_truth_as_often_as_they_say(slope: float, shift: float) -> None:
    """500 samples: the binomial 99.9 % range of 95 % for the line, at least its lower end for the error."""
    held = {"slope": 0, "intercept": 0, "error": 0}
    times, rows = 500, 400
    centre = drawn(200_000, 5)[1]
    truth = calibration_intercept(
        centre, bent(centre, slope, shift)
    ).value  # scores as labels: no chance in it
    for seed in range(times):
        labels, scores = drawn(rows, seed)
        told = bent(scores, slope, shift)
        found = calibration_slope(labels, told)
        held["slope"] += found.low <= 1 / slope <= found.high
        found = calibration_intercept(labels, told)
        held["intercept"] += found.low <= truth <= found.high
        found = calibration_error(labels, told)
        held["error"] += found.low <= calibration_error(scores, told).value <= found.high
    assert 459 <= held["slope"] <= 491
    assert 459 <= held["intercept"] <= 491
    assert held["error"] >= 459
