"""Whether a score of 0.3 comes true three times in ten.

Shapes: labels (n,) of 0 and 1, both present; scores (n,) of probabilities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esteira.monitoring.metrics import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

_SURE = 1e-6  # a score of 0 or 1 has no logit
_ROUNDS = 50
_ONE_SIDED, _TWO_SIDED = 1.6448536269514722, 1.959963984540054  # normal quantiles of 95 %


def calibration_error(labels: Vector, scores: Vector, bins: int = 10) -> Estimate:
    """Expected calibration error: the mean distance of score and frequency, over bins of equal mass.

    The interval holds the error of the binned scores with at least 95 %: chance moves the sum by no more
    than the sum of the bins' own errors (triangle inequality).
    Source: Naeini et al. 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning".
    >>> calibration_error(np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.5, 0.5, 0.5, 0.5])).value
    0.0
    """
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1]))
    places = np.searchsorted(edges, scores, side="right")
    every = np.bincount(places, minlength=len(edges) + 1)
    rows = every[every > 0].astype(np.float64)
    true = np.bincount(places, labels, len(every))[every > 0]
    said = np.bincount(places, scores, len(every))[every > 0]
    value = float(np.abs(true - said).sum() / len(labels))
    chance = (true + 1) / (rows + 2)  # Laplace: a bin without one class is still no sure thing
    errors = np.sqrt(chance * (1 - chance) * rows) / len(labels)
    sure = _ONE_SIDED * np.sqrt((1 - 2 / np.pi) * (errors**2).sum())
    noise = float(np.sqrt(2 / np.pi) * errors.sum() + sure)
    return Estimate(value, max(0.0, value - noise), min(1.0, value + noise), len(labels))


def calibration_slope(labels: Vector, scores: Vector) -> Estimate:
    """The slope of the logistic line through labels against the logit of the scores; 1 is ideal.

    Below 1 the scores are too extreme, above 1 too timid. Source: Cox 1958, "Two further applications of
    a model for binary regression".
    """
    logits = _logits(scores)
    return _fitted(labels, np.column_stack([logits, np.ones_like(logits)]), np.zeros_like(logits))


def calibration_intercept(labels: Vector, scores: Vector) -> Estimate:
    """What must be added to the logit of every score to be right on the whole; 0 is ideal.

    Above 0 the scores are too low. Source: Van Calster et al. 2019, "Calibration: the Achilles heel of
    predictive analytics" (calibration-in-the-large).
    """
    logits = _logits(scores)
    return _fitted(labels, np.ones((len(logits), 1)), logits)


def _logits(scores: Vector) -> Vector:
    clear = np.clip(scores, _SURE, 1 - _SURE)
    logits: Vector = np.log(clear / (1 - clear))
    return logits


def _fitted(labels: Vector, design: Vector, offset: Vector) -> Estimate:
    """The first weight of a logistic regression with an offset, by Newton's method, with Wald's interval."""
    weights = np.zeros(design.shape[1])
    for _ in range(_ROUNDS):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights + offset, -30, 30)))
        information = (design * (chance * (1 - chance))[:, None]).T @ design
        step = np.linalg.pinv(information) @ design.T @ (labels - chance)
        weights = weights + np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-10:
            break
    value = float(weights[0])
    reach = _TWO_SIDED * float(np.sqrt(np.linalg.pinv(information)[0, 0]))
    return Estimate(value, value - reach, value + reach, len(labels))
