"""How good the scores are, each with the interval that says how sure that is.

Shapes: labels (n,) of 0 and 1, scores (n,) of probabilities. All raise `OneClass` or `WrongScores`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

    Vector = NDArray[np.float64]

CONFIDENCE = 0.95
_LEAST = 1e-15  # a certain and wrong score costs 34.5 nats, not infinity


class WrongScores(BadInput):
    """Labels or scores that no metric can be made of."""


class OneClass(BadInput):
    """A sample without both classes says nothing about telling them apart."""

    def __init__(self, rows: int) -> None:
        super().__init__(
            f"metrics need labels of both classes, found one or none in {rows} rows; wait for more"
        )
        self.rows = rows


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of a sample, and the interval that holds the true one in 95 of 100 samples."""

    value: float
    low: float
    high: float
    rows: int


def roc_auc(labels: ArrayLike, scores: ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """The chance that a positive row has a higher score than a negative one; ties count half.

    Source: DeLong, DeLong & Clarke-Pearson 1988; the interval is made on the logit scale, where it
    covers better near 1 (Qin & Hotilovac 2008). Where every pair is in order the variance is no guide:
    the limit is then that of min(positives, negatives) independent pairs.
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value
    0.75
    """
    y, p = _checked(labels, scores)
    positive, negative = _placements(y, p)
    value, z = float(positive.mean()), _z(confidence)
    error = _two_sample_error(positive, negative)
    if value in (0.0, 1.0) or error == 0:
        limit = ((1 - confidence) / 2) ** (1 / min(len(positive), len(negative)))
        return Estimate(value, min(value, limit), max(value, 1 - limit), len(y))
    middle, reach = math.log(value / (1 - value)), z * error / (value * (1 - value))
    return Estimate(value, _logistic(middle - reach), _logistic(middle + reach), len(y))


def log_loss(labels: ArrayLike, scores: ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """Mean surprise of the truth under the scores, in nats; its interval is that of a mean.

    >>> round(log_loss([0, 1], [0.5, 0.5]).value, 4)
    0.6931
    """
    return _mean(_log_losses(*_checked(labels, scores)), confidence)


def brier(labels: ArrayLike, scores: ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """Mean squared distance of score and truth. Source: Brier 1950.

    >>> brier([0, 1], [0.5, 0.5]).value
    0.25
    """
    return _mean(_squares(*_checked(labels, scores)), confidence)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric by its name: how it is estimated, and which way is better."""

    estimate: Callable[[ArrayLike, ArrayLike], Estimate]
    higher_is_better: bool


METRICS: Mapping[str, Metric] = {
    "roc_auc": Metric(roc_auc, higher_is_better=True),
    "log_loss": Metric(log_loss, higher_is_better=False),
    "brier": Metric(brier, higher_is_better=False),
}


def metric_named(name: str) -> Metric:
    """The metric of that name. Raises: UnknownName.

    >>> metric_named("brier").higher_is_better
    False
    """
    if name not in METRICS:
        raise UnknownName("metric", name, METRICS)
    return METRICS[name]


def difference(name: str, labels: ArrayLike, scores: ArrayLike, rival: ArrayLike) -> Estimate:
    """How much the metric of `scores` exceeds that of `rival` on the same rows, which are paired.

    Raises: UnknownName.
    >>> difference("brier", [0, 1, 1], [0.1, 0.9, 0.7], [0.5, 0.5, 0.5]).value < 0
    True
    """
    metric_named(name)
    y, p = _checked(labels, scores)
    _, q = _checked(labels, rival)
    if name != "roc_auc":
        losses = _LOSSES[name]
        return _mean(losses(y, p) - losses(y, q), CONFIDENCE)
    positive, negative = (
        ours - theirs for ours, theirs in zip(_placements(y, p), _placements(y, q), strict=True)
    )
    value, reach = float(positive.mean()), _z(CONFIDENCE) * _two_sample_error(positive, negative)
    return Estimate(value, max(value - reach, -1.0), min(value + reach, 1.0), len(y))


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[Vector, Vector]:
    y, p = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if y.ndim != 1 or y.shape != p.shape:
        raise WrongScores(
            f"labels and scores must be of one length, found {y.shape} and {p.shape}; join them"
        )
    if not ((p >= 0) & (p <= 1)).all():
        raise WrongScores("scores must be probabilities from 0 to 1; leave out the rows that have none")
    positives = int((y == 1).sum())
    if positives + int((y == 0).sum()) != len(y):
        raise WrongScores("labels must be 0 or 1; leave out the rows that have none")
    if positives in (0, len(y)):
        raise OneClass(len(y))
    return y, p


def _placements(y: Vector, p: Vector) -> tuple[Vector, Vector]:
    """For each positive the share of negatives below it; for each negative the share of positives above."""
    positive, negative = p[y == 1], p[y == 0]
    return _share_below(positive, negative), 1 - _share_below(negative, positive)


def _share_below(values: Vector, others: Vector) -> Vector:
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    share: Vector = below / (2 * len(others))
    return share


def _two_sample_error(positive: Vector, negative: Vector) -> float:
    # One row has no spread of its own: it counts with the widest that a share can have.
    spread = [float(x.var(ddof=1)) if len(x) > 1 else 0.25 for x in (positive, negative)]
    return math.sqrt(spread[0] / len(positive) + spread[1] / len(negative))


def _log_losses(y: Vector, p: Vector) -> Vector:
    losses: Vector = -np.log(np.clip(np.where(y == 1, p, 1 - p), _LEAST, None))
    return losses


def _squares(y: Vector, p: Vector) -> Vector:
    squares: Vector = (p - y) ** 2
    return squares


_LOSSES: Mapping[str, Callable[..., Any]] = {"log_loss": _log_losses, "brier": _squares}


def _mean(losses: Vector, confidence: float) -> Estimate:
    value = float(losses.mean())
    reach = _z(confidence) * float(losses.std(ddof=1)) / math.sqrt(len(losses))
    return Estimate(value, value - reach, value + reach, len(losses))


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0
