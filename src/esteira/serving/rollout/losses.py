"""What a prediction cost once its label is known: the metrics by which labels judge a rollout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

    Numbers = NDArray[np.float64]

OUTCOME = "outcome"  # no loss of a prediction: the label itself, which the answer has brought about
_SURE = 1e-15  # a probability of exactly 0 or 1 would make one mistake infinitely bad


@dataclass(frozen=True, slots=True)
class Costs:
    """What a wrong answer costs, in whatever unit the user counts."""

    false_alarm: float = 1.0
    miss: float = 1.0
    threshold: float = 0.5  # from which score on the answer is yes


def _log_loss(labels: Numbers, scores: Numbers, costs: Costs) -> Numbers:
    del costs
    sure = np.clip(scores, _SURE, 1 - _SURE)
    losses: Numbers = -(labels * np.log(sure) + (1 - labels) * np.log1p(-sure))
    return losses


def _brier(labels: Numbers, scores: Numbers, costs: Costs) -> Numbers:
    del costs
    losses: Numbers = (labels - scores) ** 2
    return losses


def _absolute(labels: Numbers, scores: Numbers, costs: Costs) -> Numbers:
    del costs
    return np.abs(labels - scores)


def _error(labels: Numbers, scores: Numbers, costs: Costs) -> Numbers:
    return _cost(labels, scores, Costs(threshold=costs.threshold))


def _cost(labels: Numbers, scores: Numbers, costs: Costs) -> Numbers:
    says_yes, is_yes = scores >= costs.threshold, labels >= 0.5
    losses: Numbers = costs.false_alarm * (says_yes & ~is_yes) + costs.miss * (~says_yes & is_yes)
    return np.where(np.isfinite(scores), losses, np.nan)


LOSSES: Mapping[str, Callable[[Numbers, Numbers, Costs], Numbers]] = {
    "log_loss": _log_loss,  # nats
    "brier": _brier,
    "squared": _brier,  # of a regression, by its usual name
    "absolute": _absolute,
    "error": _error,  # 1 for a wrong answer
    "cost": _cost,  # in the unit of the costs
}


def losses(metric: str, labels: ArrayLike, scores: ArrayLike, costs: Costs | None = None) -> Numbers:
    """What each prediction cost, shape (n,); a score that is no number stays one in the result.

    Shapes: labels (n,), scores (n,). Raises: KeyError (no such metric).
    >>> losses("cost", [1, 0, 1], [0.2, 0.9, 0.8], Costs(false_alarm=1, miss=5)).tolist()
    [5.0, 1.0, 0.0]
    """
    truth, said = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    return LOSSES[metric](truth, said, costs or Costs())


def paired_losses(
    labels: ArrayLike,
    champion: ArrayLike,
    challenger: ArrayLike,
    metric: str = "log_loss",
    costs: Costs | None = None,
) -> Numbers:
    """What the challenger costs more than the champion, row by row; below 0 the challenger is better.

    Shapes: all (n,). Unit: that of the metric, nats of log loss by default.
    >>> paired_losses([1, 0], [0.5, 0.5], [0.5, 0.25]).round(3).tolist()
    [0.0, -0.405]
    """
    return losses(metric, labels, challenger, costs) - losses(metric, labels, champion, costs)


def weighed_outcomes(outcomes: ArrayLike, is_challenger: ArrayLike, share: ArrayLike) -> Numbers:
    """How much less the challenger's answers brought than the champion's, one unbiased guess for each row.

    Shapes: all (n,); `share` is the chance with which the row went to the challenger, above 0 and below 1.
    The mean of the guesses tends to the difference of the mean outcomes, champion minus challenger, whatever
    the shares were and however they were changed by what was seen before. Below 0 the challenger is better.
    Source: Horvitz & Thompson 1952; Waudby-Smith et al. 2021 for its use in confidence sequences.
    >>> weighed_outcomes([1.0, 0.0, 1.0, 1.0], [True, True, False, False], [0.5] * 4).tolist()
    [-2.0, -0.0, 2.0, 2.0]
    """
    brought, chance = np.asarray(outcomes, np.float64), np.asarray(share, np.float64)
    guesses: Numbers = np.where(is_challenger, -brought / chance, brought / (1 - chance))
    return guesses
