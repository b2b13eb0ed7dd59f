"""Gates: bounds, rivals, and how often chance makes them err."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, UnknownName
from esteira.base.records import to_plain
from esteira.monitoring.metrics import METRICS
from esteira.training.gates import Evaluation, Gate, NotPaired, judge

LABELS = np.array([0.0, 1.0] * 100)


def scored(seed: int, noise: float = 1.0, labels: np.ndarray = LABELS) -> Evaluation:
    draw = np.random.default_rng(seed)
    return Evaluation(labels, 1 / (1 + np.exp(-(2 * labels - 1 + noise * draw.normal(size=len(labels))))))


def test_a_bound_from_below_is_held_by_the_figure_itself() -> None:
    good, bad = judge([Gate("roc_auc", at_least=0.5), Gate("roc_auc", at_least=0.99)], scored(1), {})
    assert good.passed
    assert not bad.passed
    assert good.candidate == bad.candidate
    assert bad.threshold == 0.99
    assert "below 0.99; train on more or newer rows" in bad.reason


def test_a_bound_from_above_is_held_by_the_figure_itself() -> None:
    good, bad = judge([Gate("calibration", at_most=0.5), Gate("brier", at_most=0.01)], scored(1), {})
    assert good.passed
    assert "is at most 0.5" in good.reason
    assert not bad.passed
    assert "above 0.01" in bad.reason


def test_the_bound_itself_passes() -> None:
    value = scored(1).measure("roc_auc").value
    assert all(
        r.passed
        for r in judge([Gate("roc_auc", at_least=value), Gate("roc_auc", at_most=value)], scored(1), {})
    )


def test_results_come_in_the_order_of_their_gates() -> None:
    gates = [Gate("brier", at_most=1), Gate("roc_auc", at_least=0), Gate("log_loss", at_most=9)]
    assert [result.gate for result in judge(gates, scored(1), {})] == gates


def test_a_rival_that_does_not_exist_yet_lets_the_first_model_pass() -> None:
    (result,) = judge([Gate("log_loss", not_worse_than="champion")], scored(1), {})
    assert result.passed
    assert result.threshold is None
    assert "no champion to compare with yet" in result.reason


@pytest.mark.parametrize("metric", METRICS)
@given(st.integers(0, 10_000), st.integers(4, 300), st.floats(0, 5))
def test_a_candidate_identical_to_its_rival_always_passes(
    metric: str, seed: int, rows: int, noise: float
) -> None:
    labels = np.random.default_rng(seed).permutation(np.arange(rows) % 3 == 0).astype(np.float64)
    same = scored(seed, noise, labels)
    (result,) = judge([Gate(metric, not_worse_than="champion")], same, {"champion": same})
    assert result.passed


@pytest.mark.parametrize("metric", METRICS)
@given(st.integers(0, 10_000))
def test_a_clearly_worse_candidate_never_passes(metric: str, seed: int) -> None:
    rival = scored(seed, noise=0.3)
    worse = Evaluation(LABELS, np.random.default_rng(seed).permutation(rival.scores))
    (result,) = judge([Gate(metric, not_worse_than="champion")], worse, {"champion": rival})
    assert not result.passed
    assert "worse" in result.reason
    assert "keep champion" in result.reason


@pytest.mark.parametrize("metric", METRICS)
@given(st.integers(0, 10_000))
def test_a_clearly_better_candidate_always_passes(metric: str, seed: int) -> None:
    better = scored(seed, noise=0.3)
    rival = Evaluation(LABELS, np.random.default_rng(seed).permutation(better.scores))
    (result,) = judge([Gate(metric, not_worse_than="champion")], better, {"champion": rival})
    assert result.passed
    assert "better" in result.reason


@pytest.mark.parametrize("metric", METRICS)
def test_an_equally_good_candidate_is_refused_no_more_often_than_said(metric: str) -> None:
    """500 pairs of equal quality; 2.5 % may fail, and the binomial 99.9 % range ends at 24."""
    refused = 0
    for seed in range(500):
        labels = (np.random.default_rng(seed).random(300) < 0.3).astype(np.float64)
        ours, theirs = scored(2 * seed, labels=labels), scored(2 * seed + 1, labels=labels)
        (result,) = judge([Gate(metric, not_worse_than="champion")], ours, {"champion": theirs})
        refused += not result.passed
    assert refused <= 24


def test_a_margin_forgives_what_is_worse_by_less() -> None:
    rival = scored(3, noise=0.5)
    worse = Evaluation(LABELS, 0.9 * rival.scores + 0.05)
    gap = worse.measure("log_loss").value - rival.measure("log_loss").value
    strict, lenient = judge(
        [
            Gate("log_loss", not_worse_than="champion"),
            Gate("log_loss", not_worse_than="champion", margin=2 * gap),
        ],
        worse,
        {"champion": rival},
    )
    assert not strict.passed
    assert lenient.passed
    assert lenient.threshold == pytest.approx(rival.measure("log_loss").value + 2 * gap)


def test_models_judged_on_other_rows_are_not_compared() -> None:
    rival = Evaluation(LABELS[::-1].copy(), scored(1).scores)
    with pytest.raises(NotPaired, match="candidate and champion must score the same rows"):
        judge([Gate("brier", not_worse_than="champion")], scored(1), {"champion": rival})


@pytest.mark.parametrize(
    "gate",
    [Gate("roc_auc", at_least=0.1), Gate("calibration", at_most=1), Gate("brier", not_worse_than="champion")],
)
def test_rows_of_one_class_fail_every_gate_for_want_of_data(gate: Gate) -> None:
    one = Evaluation(np.zeros(5), np.full(5, 0.1))
    (result,) = judge([gate], one, {"champion": one})
    assert not result.passed
    assert result.candidate is None
    assert result.reason.startswith("not enough data")


def test_a_result_is_plain_json() -> None:
    (result,) = judge([Gate("roc_auc", at_least=0.5)], scored(1), {})
    plain = to_plain(result)
    assert plain["gate"]["metric"] == "roc_auc"
    assert plain["passed"] is True


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"at_least": 0.1, "at_most": 0.2},
        {"at_least": 0.1, "not_worse_than": "champion"},
        {"at_least": float("nan")},
        {"not_worse_than": "champion", "margin": -0.1},
        {"not_worse_than": "champion", "margin": float("nan")},
        {"at_least": 0.5, "margin": 0.1},
    ],
)
def test_a_gate_takes_one_sound_condition(conditions: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        Gate("roc_auc", **conditions)


def test_a_gate_on_an_unknown_metric_is_refused_when_it_is_written() -> None:
    with pytest.raises(UnknownName, match="did you mean 'log_loss'"):
        Gate("logloss", at_most=0.5)


def test_calibration_cannot_be_compared_with_a_rival() -> None:
    with pytest.raises(BadInput, match="no paired comparison"):
        Gate("calibration", not_worse_than="champion")
