"""Metrics of scores on labelled rows."""

from __future__ import annotations

import numpy as np
import pytest

from esteira.base.errors import UnknownName
from esteira.monitoring.metrics import METRICS, OneClass, WrongScores
from esteira.training.evaluation import EVERY_METRIC, Evaluation, evaluate

LABELS = np.array([0.0, 0.0, 1.0, 1.0, 0.0, 1.0])
SCORES = np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.6])


def test_every_metric_comes_with_an_interval_and_the_rows_it_saw() -> None:
    measured = evaluate(LABELS, SCORES)
    assert [each.metric for each in measured] == list(EVERY_METRIC)
    for each in measured:
        assert each.low <= each.value <= each.high
        assert each.rows == 6


def test_the_figures_are_those_of_monitoring() -> None:
    for each in evaluate(LABELS, SCORES, list(METRICS)):
        assert each.value == METRICS[each.metric].estimate(LABELS, SCORES).value


def test_only_the_metrics_asked_for_are_measured_in_their_order() -> None:
    assert [each.metric for each in evaluate(LABELS, SCORES, ["brier", "roc_auc"])] == ["brier", "roc_auc"]


def test_an_unknown_metric_is_named_with_its_neighbour() -> None:
    with pytest.raises(UnknownName, match="did you mean 'roc_auc'"):
        evaluate(LABELS, SCORES, ["rocauc"])


@pytest.mark.parametrize("metric", EVERY_METRIC)
@pytest.mark.parametrize("labels", [np.zeros(4), np.ones(4), np.zeros(0)])
def test_labels_of_one_class_are_no_data_for_any_metric(metric: str, labels: np.ndarray) -> None:
    with pytest.raises(OneClass):
        evaluate(labels, np.full(len(labels), 0.5), [metric])


@pytest.mark.parametrize(
    ("labels", "scores", "reason"),
    [
        (LABELS, SCORES[:-1], "one length"),
        (LABELS.reshape(2, 3), SCORES.reshape(2, 3), "one length"),
        (LABELS, SCORES + 1, "from 0 to 1"),
        (LABELS, SCORES - 1, "from 0 to 1"),
        (LABELS, np.full(6, np.nan), "from 0 to 1"),
        (LABELS + 1, SCORES, "labels must be 0 or 1"),
        (np.full(6, np.nan), SCORES, "labels must be 0 or 1"),
    ],
)
def test_what_no_metric_can_be_made_of_is_refused(
    labels: np.ndarray, scores: np.ndarray, reason: str
) -> None:
    with pytest.raises(WrongScores, match=reason):
        Evaluation(labels, scores)
