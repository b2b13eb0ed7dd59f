from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.rollout.sequences import distance_bound, exceeds_rate, is_other_split, mean_interval


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


# ── both alphas ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("alpha", [0.001, 0.1, 0.3, 0.4, 0.44, 0.49, 0.499])
def test_any_alpha_that_a_plan_may_have_gives_bounds(alpha: float) -> None:
    found = mean_interval(np.random.default_rng(1).normal(size=200), alpha, 14, alpha / 10)
    assert -math.inf < found.low < found.mean < found.high < math.inf


def test_each_bound_has_an_alpha_of_its_own() -> None:
    values = np.random.default_rng(2).normal(size=60)
    both, strict = mean_interval(values, 0.05, 30, 0.001), mean_interval(values, 0.001, 30)
    assert (both.high, both.low) == (mean_interval(values, 0.05, 30).high, strict.low)
    assert both.low < mean_interval(values, 0.05, 30).low


def test_the_lower_bound_keeps_its_smaller_error_under_every_look() -> None:
    rows, alpha, low_alpha = 400, 0.2, 0.02
    draws = np.random.default_rng(5).normal(size=(rows, 80))
    low = high = 0
    for row in draws:
        found = [mean_interval(row[:n], alpha, 30, low_alpha) for n in range(2, 81)]
        low += any(each.low > 0 for each in found)
        high += any(each.high < 0 for each in found)
    assert low <= most(rows, low_alpha)
    assert high <= most(rows, alpha)
    assert low < high


def most(runs: int, alpha: float) -> float:
    """As many false alarms as chance may give: three standard errors above nominal."""
    return runs * alpha + 3 * math.sqrt(runs * alpha * (1 - alpha))


# ── distributions ───────────────────────────────────────────────────────────────────────────────────────

EVERY = 50  # requests between two looks


def ever_apart(one: np.ndarray, other: np.ndarray, distance: float, alpha: float) -> bool:
    return any(
        distance_bound(one[: 10 * n], other[:n], alpha) > distance
        for n in range(EVERY, len(other) + 1, EVERY)
    )


def test_two_samples_of_one_distribution_seldom_look_apart_at_any_look() -> None:
    random, runs = np.random.default_rng(3), 200
    alarms = sum(
        ever_apart(random.beta(2, 5, 10_000), random.beta(2, 5, 1_000), 0.0, 0.05) for _ in range(runs)
    )
    assert alarms <= most(runs, 0.05)


def test_the_bound_stays_below_the_true_distance_at_all_looks() -> None:
    random, runs = np.random.default_rng(4), 200  # uniform on 0 to 1 and on 0.3 to 1.3: 0.3 apart
    alarms = sum(
        ever_apart(random.random(10_000), random.random(1_000) + 0.3, 0.3, 0.05) for _ in range(runs)
    )
    assert alarms <= most(runs, 0.05)


def test_a_gross_shift_is_seen_within_a_few_hundred_scores() -> None:
    random = np.random.default_rng(6)
    near, far = random.beta(2, 5, 4_000), random.beta(8, 2, 400)
    assert distance_bound(near, far, 0.001) > 0.5


@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=50), st.lists(st.floats(-5, 5), min_size=1, max_size=50)
)
def test_a_distance_is_symmetric_and_lies_between_nought_and_one(
    one: list[float], other: list[float]
) -> None:
    found = distance_bound(np.array(one), np.array(other), 0.05)
    assert found == distance_bound(np.array(other), np.array(one), 0.05)
    assert 0 <= found < 1


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_few_scores_are_no_distance(count: int) -> None:
    assert distance_bound(np.zeros(10_000), np.ones(count), 0.001) == 0


# ── splits ──────────────────────────────────────────────────────────────────────────────────────────────


def ever_other(hits: np.ndarray, share: float, alpha: float) -> bool:
    counts = np.cumsum(hits)
    looks = range(EVERY, len(hits) + 1, EVERY)
    return any(is_other_split(n - int(counts[n - 1]), int(counts[n - 1]), share, alpha) for n in looks)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.95])
def test_a_split_as_intended_seldom_looks_broken_at_any_look(share: float) -> None:
    random, runs = np.random.default_rng(8), 300
    alarms = sum(ever_other(random.random(5_000) < share, share, 0.05) for _ in range(runs))
    assert alarms <= most(runs, 0.05)


@pytest.mark.parametrize(("share", "found"), [(0.5, 0.45), (0.05, 0.03), (0.05, 0.1), (0.01, 0.0)])
def test_a_broken_split_is_seen_in_time(share: float, found: float) -> None:
    random, runs = np.random.default_rng(9), 50
    assert all(ever_other(random.random(5_000) < found, share, 0.001) for _ in range(runs))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_where_nothing_is_split_no_split_is_broken(share: float) -> None:
    assert not is_other_split(500, 500, share, 0.001)
    assert not is_other_split(0, 0, 0.5, 0.001)


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0.01, 0.99))
def test_the_names_of_the_arms_do_not_matter(one: int, other: int, share: float) -> None:
    there, back = is_other_split(one, other, share, 0.01), is_other_split(other, one, 1 - share, 0.01)
    assert there == back
