from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.rollout.sequences import exceeds_rate, mean_interval


def bayes_factor(observations: np.ndarray, spread: float) -> float:
    """The evidence against a mean of 0 by brute force: effect size ~ N(0, spread), scale ~ 1 / scale."""
    scales = np.exp(np.linspace(-6, 6, 1_201))[:, None]
    effects = np.linspace(-8, 8, 1_601)[None, :] * math.sqrt(spread)
    n, total, squares = len(observations), observations.sum(), (observations**2).sum()
    exponent = -(squares / scales**2 - 2 * effects * total / scales + n * effects**2) / 2
    prior = np.exp(-(effects**2) / (2 * spread))
    prior /= prior.sum()
    weight = scales[:, 0] ** -n
    alternative = ((np.exp(exponent) * prior).sum(axis=1) * weight).sum()
    null = (np.exp(-squares / (2 * scales[:, 0] ** 2)) * weight).sum()
    return float(alternative / null)


@pytest.mark.parametrize("n", [8, 12, 40])
def test_at_its_bounds_the_bayes_factor_is_that_of_the_level(n: int) -> None:
    observations = np.random.default_rng(n).normal(0.3, 1.0, n)
    found = mean_interval(observations, alpha=0.05, planned=10)
    doubt = -2 * math.log(0.1)
    spread = (doubt + math.log(doubt) + 1) / 10
    for bound in (found.low, found.high):
        assert bayes_factor(observations - bound, spread) == pytest.approx(10, rel=1e-3)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_observations_say_nothing(count: int) -> None:
    found = mean_interval(np.linspace(0, 1, count), alpha=0.05, planned=20)
    assert (found.low, found.high, found.observations) == (-math.inf, math.inf, count)


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=60),
    st.floats(-100, 100),
    st.sampled_from([0.5, 2.0, -1.0, 8.0]),
)
def test_the_interval_holds_the_mean_and_moves_with_shift_and_scale(
    values: list[float], shift: float, scale: float
) -> None:
    plain = mean_interval(np.array(values), 0.05, 10)
    moved = mean_interval(np.array(values) * scale + shift, 0.05, 10)
    assert plain.low <= plain.mean <= plain.high
    ends = sorted((plain.low * scale + shift, plain.high * scale + shift))
    assert [moved.low, moved.high] == pytest.approx(ends, rel=1e-6, abs=1e-6)


def test_a_smaller_alpha_gives_a_wider_interval() -> None:
    values = np.random.default_rng(1).normal(size=50)
    widths = [f.high - f.low for f in (mean_interval(values, alpha, 25) for alpha in (0.2, 0.05, 0.01))]
    assert widths == sorted(widths)


def ever_outside(draws: np.ndarray, alpha: float) -> tuple[int, int]:
    """In how many rows of draws a bound passed the true mean 0 at any look: low above it, high below it."""
    looks = range(2, draws.shape[1] + 1)
    low = high = 0
    for row in draws:
        found = [mean_interval(row[:n], alpha, planned=30) for n in looks]
        low += any(f.low > 0 for f in found)
        high += any(f.high < 0 for f in found)
    return low, high


@pytest.mark.parametrize("kind", ["normal", "skewed"])
def test_looking_after_every_observation_keeps_the_error_of_each_bound(kind: str) -> None:
    random = np.random.default_rng(20130701)
    rows, alpha = 300, 0.1
    draws = random.normal(size=(rows, 80)) if kind == "normal" else random.gamma(4.0, size=(rows, 80)) - 4
    most = rows * alpha + 3 * math.sqrt(rows * alpha * (1 - alpha))  # three standard errors above nominal
    low, high = ever_outside(draws, alpha)
    assert max(low, high) <= most


def test_an_ordinary_interval_would_not_survive_the_same_looks() -> None:
    draws = np.random.default_rng(20130701).normal(size=(300, 80))
    n = np.arange(2, 81)
    means = np.cumsum(draws, axis=1)[:, 1:] / n
    errors = np.array([draws[:, :k].std(axis=1, ddof=1) / math.sqrt(k) for k in n]).T
    assert (means - 1.29 * errors > 0).any(axis=1).mean() > 0.3  # nominal: 0.1


def test_a_rate_at_its_limit_raises_few_false_alarms_however_often_one_looks() -> None:
    random = np.random.default_rng(7)
    alarms = 0
    for _ in range(300):
        errors = np.cumsum(random.random(400) < 0.02)
        alarms += any(exceeds_rate(int(errors[n - 1]), n, 0.02, 0.05) for n in range(1, 401))
    assert alarms <= 300 * 0.05 + 3 * math.sqrt(300 * 0.05 * 0.95)


def test_a_broken_arm_is_seen_within_a_few_requests() -> None:
    assert exceeds_rate(3, 3, 0.01, 0.05)
    assert exceeds_rate(20, 300, 0.01, 0.05)
    assert exceeds_rate(80, 80, 0.9, 0.05)


@given(st.integers(0, 10_000))
def test_no_errors_are_never_too_many(trials: int) -> None:
    assert not exceeds_rate(0, trials, 0.01, 0.05)
