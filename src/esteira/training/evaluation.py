"""How good a model's scores are on rows that it has not seen, each figure with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esteira.base.errors import UnknownName
from esteira.monitoring.metrics import METRICS, Estimate, OneClass, WrongScores
from esteira.training.calibration import calibration_error, calibration_intercept, calibration_slope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

_ESTIMATES: Mapping[str, Callable[..., Estimate]] = {
    **{name: metric.estimate for name, metric in METRICS.items()},
    "calibration": calibration_error,
    "calibration_slope": calibration_slope,
    "calibration_intercept": calibration_intercept,
}
EVERY_METRIC = tuple(_ESTIMATES)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The scores of a model on labelled rows. Shapes: labels (n,) of 0 and 1, scores (n,) from 0 to 1.

    Raises: WrongScores.
    """

    labels: NDArray[np.float64]
    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.labels.ndim != 1 or self.labels.shape != self.scores.shape:
            raise WrongScores(
                f"labels and scores must be of one length, found {self.labels.shape} and {self.scores.shape}"
            )
        if not ((self.scores >= 0) & (self.scores <= 1)).all():
            raise WrongScores("scores must be probabilities from 0 to 1; found others, or none")
        if not np.isin(self.labels, (0.0, 1.0)).all():
            raise WrongScores("labels must be 0 or 1; leave out the rows that have none")

    def measure(self, metric: str) -> Measured:
        """One metric. Raises: UnknownName, OneClass."""
        if metric not in _ESTIMATES:
            raise UnknownName("metric", metric, _ESTIMATES)
        if len(np.unique(self.labels)) < 2:
            raise OneClass(len(self.labels))
        found = _ESTIMATES[metric](self.labels, self.scores)
        return Measured(metric, found.value, found.low, found.high, found.rows)


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric with the interval that holds its true value in 95 of 100 samples."""

    metric: str
    value: float
    low: float
    high: float
    rows: int


def evaluate(
    labels: NDArray[np.float64], scores: NDArray[np.float64], metrics: Sequence[str] = EVERY_METRIC
) -> tuple[Measured, ...]:
    """The metrics of scores on labelled rows, in their order. Raises: WrongScores, OneClass, UnknownName.

    >>> evaluate(np.array([0.0, 1.0]), np.array([0.2, 0.7]), ["brier"])[0].rows
    2
    """
    evaluation = Evaluation(labels, scores)
    return tuple(evaluation.measure(metric) for metric in metrics)
