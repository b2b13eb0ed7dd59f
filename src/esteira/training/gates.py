"""What a candidate must show before it may serve."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

import numpy as np

from esteira.base.errors import BadInput, UnknownName
from esteira.monitoring.metrics import METRICS, OneClass, difference
from esteira.training.evaluation import EVERY_METRIC, Evaluation, Measured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Evaluation", "Gate", "GateResult", "NotPaired", "judge"]

_PAIRED = ", ".join(METRICS)


class NotPaired(BadInput):
    """Two models were not judged on the same rows."""

    def __init__(self, rival: str) -> None:
        super().__init__(
            f"candidate and {rival} must score the same rows in one order; score both on one table"
        )
        self.rival = rival


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition on one metric: a bound, or a rival that must not be better.

    A bound is held against the figure itself. Against a rival the two are paired on the same rows, and the
    candidate fails when the 95 % interval of the difference shows it worse by more than `margin`, so that an
    equal candidate fails in at most 2.5 of 100 cases. Raises: UnknownName, BadInput.
    >>> Gate("roc_auc", at_least=0.7).metric
    'roc_auc'
    """

    metric: str
    _: KW_ONLY
    at_least: float | None = None
    at_most: float | None = None
    not_worse_than: str | None = None  # the name of a rival: "champion", "baseline"
    margin: float = 0.0  # in the unit of the metric

    def __post_init__(self) -> None:
        if self.metric not in EVERY_METRIC:
            raise UnknownName("metric", self.metric, EVERY_METRIC)
        if not all(math.isfinite(each) for each in (self.at_least or 0, self.at_most or 0, self.margin)):
            raise BadInput(f"a gate on {self.metric} takes numbers, found {self}")
        given = [self.at_least, self.at_most, self.not_worse_than]
        if sum(each is not None for each in given) != 1:
            raise BadInput(f"a gate on {self.metric} takes one of at_least, at_most and not_worse_than")
        if self.not_worse_than is not None and self.metric not in METRICS:
            raise BadInput(
                f"{self.metric} has no paired comparison; use at_least or at_most, or one of: {_PAIRED}"
            )
        if self.margin < 0 or (self.margin and self.not_worse_than is None):
            raise BadInput(f"margin goes with not_worse_than and is not negative, found {self.margin}")


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate said and why. `candidate` and `threshold` are None where there was nothing to compare."""

    gate: Gate
    passed: bool
    candidate: float | None
    threshold: float | None
    reason: str


def judge(
    gates: Sequence[Gate], candidate: Evaluation, rivals: Mapping[str, Evaluation]
) -> tuple[GateResult, ...]:
    """Hold a candidate against every gate, in their order.

    A rival that is not there yet lets the candidate pass; labels of one class fail it, because nothing can
    be known. Raises: NotPaired.
    >>> scored = Evaluation(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.8, 0.6]))
    >>> [result.passed for result in judge([Gate("roc_auc", at_least=0.9)], scored, {})]
    [True]
    """
    return tuple(_judged(gate, candidate, rivals) for gate in gates)


def _judged(gate: Gate, candidate: Evaluation, rivals: Mapping[str, Evaluation]) -> GateResult:
    try:
        measured = candidate.measure(gate.metric)
    except OneClass as unknown:
        reason = f"not enough data: {unknown}"
        return GateResult(gate, passed=False, candidate=None, threshold=None, reason=reason)
    for bound in (gate.at_least, gate.at_most):
        if bound is not None:
            return _bounded(gate, measured, bound)
    name = str(gate.not_worse_than)
    if name not in rivals:
        reason = f"{_said(measured)}; there is no {name} to compare with yet"
        return GateResult(gate, passed=True, candidate=measured.value, threshold=None, reason=reason)
    return _compared(gate, measured, candidate, rivals[name])


def _bounded(gate: Gate, measured: Measured, bound: float) -> GateResult:
    if gate.at_least is not None:
        passed, words = measured.value >= bound, ("below", "at least")
    else:
        passed, words = measured.value <= bound, ("above", "at most")
    mend = "" if passed else "; train on more or newer rows, give it better features, or change the gate"
    reason = f"{_said(measured)} is {words[passed]} {bound:g}{mend}"
    return GateResult(gate, passed, measured.value, bound, reason)


def _compared(gate: Gate, measured: Measured, candidate: Evaluation, rival: Evaluation) -> GateResult:
    name = str(gate.not_worse_than)
    if not np.array_equal(candidate.labels, rival.labels):
        raise NotPaired(name)
    theirs = rival.measure(gate.metric).value
    found = difference(gate.metric, candidate.labels, candidate.scores, rival.scores)
    sign = 1 if METRICS[gate.metric].higher_is_better else -1
    gain = sign * found.value
    least, most = sorted((sign * found.low, sign * found.high))
    passed = most >= -gate.margin
    reason = (
        f"{_said(measured)} against {theirs:.4f} of {name}: "
        f"{abs(gain):.4f} {'better' if gain >= 0 else 'worse'} (gain {least:.4f} to {most:.4f})"
    )
    if not passed:
        reason += f"; keep {name}, or train on newer rows or better features"
    return GateResult(gate, passed, measured.value, theirs - sign * gate.margin, reason)


def _said(measured: Measured) -> str:
    return f"{measured.metric} {measured.value:.4f} ({measured.low:.4f} to {measured.high:.4f})"
