"""What the evidence of a rollout allows: promote, roll back, widen, or hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np

from esteira.base.clock import to_micros
from esteira.serving.rollout.sequences import Interval, exceeds_rate, mean_interval

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import ArrayLike, NDArray

    from esteira.serving.rollout.plan import CanaryPlan

VerdictKind = Literal["promote", "roll back", "hold", "widen"]
_LEAST_TIMED = 100  # requests before a ratio of latencies means anything
_SURE = 1e-15  # a probability of exactly 0 or 1 would make one mistake infinitely bad


@dataclass(frozen=True, slots=True)
class Health:
    """How the challenger's arm behaves, whatever its predictions are worth."""

    requests: int = 0
    errors: int = 0  # of these requests
    nonfinite: int = 0  # scores that are no number
    latency_ratio: float | None = None  # median of the challenger over median of the champion


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Both models on all labelled predictions since the rollout began, whichever arm answered them.

    `at` and `differences` are parallel, shape (n,): when each prediction was made, in UTC microseconds,
    and its log loss under the challenger minus that under the champion (see `paired_losses`).
    """

    step: int  # from 0
    started_at: datetime
    step_since: datetime
    now: datetime
    at: NDArray[np.int64]
    differences: NDArray[np.float64]
    health: Health = field(default_factory=Health)

    @property
    def labelled(self) -> int:
        return len(self.differences)

    @property
    def labelled_in_step(self) -> int:
        return int(np.count_nonzero(self.at >= to_micros(self.step_since)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do now, why, and the mean difference of losses it rests on (below 0: challenger better)."""

    kind: VerdictKind
    reason: str
    interval: Interval

    def facts(self) -> dict[str, object]:
        """The verdict as JSON values; a bound that is infinite yet is null."""
        found = self.interval
        bounds = {"mean": found.mean, "low": found.low, "high": found.high}
        finite = {name: value if math.isfinite(value) else None for name, value in bounds.items()}
        return {"verdict": self.kind, "reason": self.reason, **finite, "observations": found.observations}


def paired_losses(labels: ArrayLike, champion: ArrayLike, challenger: ArrayLike) -> NDArray[np.float64]:
    """Log loss of the challenger minus that of the champion, row by row; below 0 the challenger is better.

    Shapes: all (n,), labels 0 or 1, scores probabilities of 1. Unit: nats. A score that is no number
    stays one in the result.
    >>> paired_losses([1, 0], [0.5, 0.5], [0.5, 0.25]).round(3).tolist()
    [0.0, -0.405]
    """
    truth = np.asarray(labels, np.float64)
    before, after = (np.clip(np.asarray(s, np.float64), _SURE, 1 - _SURE) for s in (champion, challenger))
    losses: NDArray[np.float64] = truth * np.log(before / after) + (1 - truth) * np.log(
        (1 - before) / (1 - after)
    )
    return losses


def analyse(evidence: Evidence, plan: CanaryPlan) -> Verdict:
    """Judge a rollout as it stands; looking every minute is as valid as looking once.

    - roll back: the challenger's arm is unhealthy, or it is worse with evidence, or its time is over;
    - promote: last step, and it is better with evidence;
    - widen: enough was seen at this step, and harm beyond the plan's margin is excluded;
    - hold: anything else, silence and too few labels first of all.
    """
    interval = _interval(evidence, plan)
    for judge in (_unhealthy, _worse, _ready, _overdue):
        verdict = judge(evidence, plan, interval)
        if verdict is not None:
            return verdict
    return Verdict("hold", _missing(evidence, plan, interval), interval)


def _interval(evidence: Evidence, plan: CanaryPlan) -> Interval:
    observations = evidence.differences
    if plan.block and evidence.labelled:
        observations = _blocks(evidence, plan.block)
    return mean_interval(observations, plan.alpha, plan.planned_observations)


def _blocks(evidence: Evidence, block: timedelta) -> NDArray[np.float64]:
    """One observation per block that is over: its summed differences, in units of an average block.

    Predictions of one storm fail together, so rows are no independent witnesses: on the flights of 2013,
    intervals that count rows call two seeds of one model different. Blocks longer than labels take nearly
    are. The newest block is left out: its labels are still coming.
    """
    since_start = evidence.at - to_micros(evidence.started_at)
    _, number = np.unique(since_start // (block // timedelta(microseconds=1)), return_inverse=True)
    sums = np.bincount(number, weights=evidence.differences)[:-1].astype(np.float64)
    sizes = np.bincount(number)[:-1]
    return sums / sizes.mean() if len(sizes) else sums


def _unhealthy(evidence: Evidence, plan: CanaryPlan, interval: Interval) -> Verdict | None:
    health, reason = evidence.health, ""
    spoilt = health.nonfinite + int(np.count_nonzero(~np.isfinite(evidence.differences)))
    if spoilt:
        reason = f"{spoilt} scores of the challenger are no numbers"
    elif exceeds_rate(health.errors, health.requests, plan.max_error_rate, plan.alpha):
        allowed = f"more than {plan.max_error_rate:.1%} allowed"
        reason = f"{health.errors} of {health.requests} requests failed, {allowed}"
    elif (health.latency_ratio or 0) > plan.max_latency_ratio and health.requests >= _LEAST_TIMED:
        allowed = f"more than {plan.max_latency_ratio:g} allowed"
        reason = f"the challenger takes {health.latency_ratio:.1f} times as long as the champion, {allowed}"
    return Verdict("roll back", reason, interval) if reason else None


def _worse(evidence: Evidence, plan: CanaryPlan, interval: Interval) -> Verdict | None:
    if evidence.labelled < plan.minimum or interval.low <= 0:
        return None
    return Verdict("roll back", f"the challenger is worse: log loss {_spelt(interval)}", interval)


def _ready(evidence: Evidence, plan: CanaryPlan, interval: Interval) -> Verdict | None:
    if _unseen(evidence, plan):
        return None
    if evidence.step == plan.steps - 1:
        reason = f"the challenger is better: log loss {_spelt(interval)}"
        return Verdict("promote", reason, interval) if interval.high < 0 else None
    if interval.high >= plan.margin or _is_overdue(evidence, plan):
        return None
    return Verdict("widen", f"no harm beyond {plan.margin:g}: log loss {_spelt(interval)}", interval)


def _overdue(evidence: Evidence, plan: CanaryPlan, interval: Interval) -> Verdict | None:
    if not _is_overdue(evidence, plan):
        return None
    reason = f"no evidence of being better within {_days(plan.max_duration)}: log loss {_spelt(interval)}"
    return Verdict("roll back", reason, interval)


def _is_overdue(evidence: Evidence, plan: CanaryPlan) -> bool:
    return evidence.now - evidence.started_at >= plan.max_duration


def _unseen(evidence: Evidence, plan: CanaryPlan) -> str:
    if evidence.labelled_in_step < plan.minimum:
        return f"{evidence.labelled_in_step} of {plan.minimum} labelled predictions at this step"
    baked = evidence.now - evidence.step_since
    return f"baked {_days(baked)} of {_days(plan.bake)}" if baked < plan.bake else ""


def _missing(evidence: Evidence, plan: CanaryPlan, interval: Interval) -> str:
    if unseen := _unseen(evidence, plan):
        return unseen
    if evidence.step == plan.steps - 1:
        return f"not shown to be better yet: log loss {_spelt(interval)}"
    return f"harm beyond {plan.margin:g} is not excluded yet: log loss {_spelt(interval)}"


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.4g} days"


def _spelt(interval: Interval) -> str:
    if math.isinf(interval.low):
        return f"not known yet from {interval.observations} observations"
    bounds = f"between {interval.low:+.4f} and {interval.high:+.4f}"
    return f"{interval.mean:+.4f} per prediction, {bounds}, from {interval.observations} observations"
