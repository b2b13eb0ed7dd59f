from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from esteira.base.errors import UnknownName
from esteira.monitoring.metrics import (
    METRICS,
    Estimate,
    OneClass,
    WrongScores,
    brier,
    difference,
    log_loss,
    metric_named,
    roc_auc,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0])), min_size=2, max_size=30
)
SAMPLES = 1500


def _two_classes(rows: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    labels, scores = [label for label, _ in rows], [score for _, score in rows]
    assume(0 < sum(labels) < len(labels))
    return labels, scores


@given(ROWS)
def test_roc_auc_is_the_share_of_pairs_in_order(rows: list[tuple[int, float]]) -> None:
    labels, scores = _two_classes(rows)
    pairs = [
        (p > q) + (p == q) / 2
        for label, p in zip(labels, scores, strict=True)
        for other, q in zip(labels, scores, strict=True)
        if label == 1 and other == 0
    ]
    assert math.isclose(roc_auc(labels, scores).value, sum(pairs) / len(pairs), abs_tol=1e-12)


@given(ROWS)
def test_the_mean_losses_are_what_their_formulas_say(rows: list[tuple[int, float]]) -> None:
    labels, scores = _two_classes(rows)
    both = list(zip(labels, scores, strict=True))
    surprise = [-math.log(max(p if y else 1 - p, 1e-15)) for y, p in both]
    assert math.isclose(log_loss(labels, scores).value, sum(surprise) / len(both), abs_tol=1e-9)
    assert math.isclose(brier(labels, scores).value, sum((p - y) ** 2 for y, p in both) / len(both))


@given(ROWS)
def test_an_interval_holds_its_value_and_is_finite(rows: list[tuple[int, float]]) -> None:
    labels, scores = _two_classes(rows)
    for metric in METRICS.values():
        found = metric.estimate(labels, scores)
        assert found.low <= found.value <= found.high
        assert all(map(math.isfinite, (found.low, found.high)))
        assert found.rows == len(labels)


@given(ROWS)
def test_turning_the_scores_round_turns_roc_auc_round(rows: list[tuple[int, float]]) -> None:
    labels, scores = _two_classes(rows)
    there, back = roc_auc(labels, scores), roc_auc(labels, [1 - score for score in scores])
    found = (back.value, back.low, back.high)
    assert np.allclose(found, (1 - there.value, 1 - there.high, 1 - there.low), atol=1e-9)


def _world(seed: int, rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Labels, the scores of a model that knows something, and those of one that knows less."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=rows)
    labels = (signal + rng.normal(size=rows) > 0.8).astype(np.float64)
    scores = (1 / (1 + np.exp(-(1.5 * (signal + noise * rng.normal(size=rows)) - 1))) for noise in (0.3, 1.0))
    better, other = scores
    return labels, better, np.clip(0.6 * other + 0.2, 0, 1)


def _coverage(found: list[Estimate], truth: float) -> float:
    return float(np.mean([each.low <= truth <= each.high for each in found]))


@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_interval_covers_the_truth_as_often_as_it_says(name: str) -> None:
    metric = METRICS[name]
    truth = metric.estimate(*_world(1, 1_000_000)[:2]).value
    found = [metric.estimate(*_world(seed, 400)[:2]) for seed in range(2, 2 + SAMPLES)]
    assert 0.93 <= _coverage(found, truth) <= 0.97


@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_interval_of_a_difference_covers_the_truth_as_often_as_it_says(name: str) -> None:
    truth = difference(name, *_world(1, 1_000_000)).value
    found = [difference(name, *_world(seed, 400)) for seed in range(2, 2 + SAMPLES)]
    assert 0.93 <= _coverage(found, truth) <= 0.97


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_difference_is_that_of_the_two_values_and_sharper_than_either(name: str) -> None:
    labels, scores, rival = _world(3, 2000)
    ours, theirs = metric_named(name).estimate(labels, scores), metric_named(name).estimate(labels, rival)
    found = difference(name, labels, scores, rival)
    assert math.isclose(found.value, ours.value - theirs.value, abs_tol=1e-12)
    assert found.high - found.low < math.hypot(ours.high - ours.low, theirs.high - theirs.low)
    assert difference(name, labels, scores, scores) == Estimate(0.0, 0.0, 0.0, 2000)


def test_a_perfect_order_of_few_rows_is_not_taken_for_certainty() -> None:
    few, many = roc_auc([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]), roc_auc([0, 1] * 500, [0.1, 0.9] * 500)
    assert (few.value, few.high, many.value) == (1.0, 1.0, 1.0)
    assert few.low < 0.2
    assert many.low > 0.99


def test_a_wider_confidence_gives_a_wider_interval() -> None:
    labels, scores, _ = _world(3, 500)
    for metric in (roc_auc, log_loss, brier):
        usual, sure = metric(labels, scores), metric(labels, scores, confidence=0.999)
        assert sure.low < usual.low < usual.high < sure.high


@pytest.mark.parametrize("labels", [[], [1, 1], [0, 0, 0]])
def test_one_class_is_no_sample(labels: list[int]) -> None:
    with pytest.raises(OneClass, match=f"{len(labels)} rows") as refused:
        roc_auc(labels, [0.5] * len(labels))
    assert refused.value.rows == len(labels)


@pytest.mark.parametrize(
    ("labels", "scores", "says"),
    [
        ([0, 1], [0.5], "one length"),
        ([[0, 1]], [[0.1, 0.9]], "one length"),
        ([0, 1], [0.5, math.nan], "probabilities"),
        ([0, 1], [0.5, 1.1], "probabilities"),
        ([0, math.nan], [0.5, 0.5], "0 or 1"),
        ([0, 2], [0.5, 0.5], "0 or 1"),
    ],
)
def test_what_no_metric_can_be_made_of_is_refused(
    labels: list[float], scores: list[float], says: str
) -> None:
    for metric in METRICS.values():
        with pytest.raises(WrongScores, match=says):
            metric.estimate(labels, scores)


def test_an_unknown_metric_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match="roc_auc"):
        metric_named("roc_acu")
    with pytest.raises(UnknownName, match="brier"):
        difference("briar", [0, 1], [0.1, 0.9], [0.2, 0.8])


def test_a_metric_says_which_way_is_better() -> None:
    labels, scores, rival = _world(3, 5000)
    for name, metric in METRICS.items():
        gain = difference(name, labels, scores, rival).value
        assert (gain > 0) == metric.higher_is_better
