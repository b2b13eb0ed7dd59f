"""What the evidence of a rollout allows: promote, roll back, widen, or hold."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from esteira.base.clock import to_micros
from esteira.serving.rollout.guards import harm, labels_alpha
from esteira.serving.rollout.sequences import Interval, mean_interval
from esteira.serving.rollout.verdict import Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.serving.rollout.evidence import Evidence
    from esteira.serving.rollout.plan import RolloutPlan


def analyse(evidence: Evidence, plan: RolloutPlan, *, is_paused: bool = False) -> Verdict:
    """Judge a rollout as it stands; looking every minute is as valid as looking once.

    - roll back: a check after the deployment failed, a guard fires, it is worse with evidence, or its time
      is over;
    - promote: at the last step, when the plan's goal is reached;
    - widen: enough was seen at this step, and harm beyond the plan's margin is excluded;
    - hold: anything else, silence and too few predictions first of all. A rollout that is paused, or whose
      plan is not automatic, holds where others would widen or promote; the advice says so.
    """
    interval = _interval(evidence, plan)
    for judge in (_broken, _harmful, _worse, _ready, _overdue):
        verdict = judge(evidence, plan, interval)
        if verdict is not None:
            is_held = verdict.kind != "roll back" and (is_paused or not plan.automatic)
            return _held(verdict, is_paused=is_paused) if is_held else verdict
    return Verdict("hold", _missing(evidence, plan, interval), interval)


def _held(verdict: Verdict, *, is_paused: bool) -> Verdict:
    why = "paused" if is_paused else f"ready to {verdict.kind} by hand"
    return replace(verdict, kind="hold", reason=f"{why}; {verdict.reason}", advice=verdict.kind)


def _interval(evidence: Evidence, plan: RolloutPlan) -> Interval:
    """Where the mean difference lies, by blocks of time; by keys, where they ask again and that is wider."""
    alphas = plan.alpha, plan.planned_observations, labels_alpha(plan)
    observations = evidence.differences
    if plan.block and evidence.labelled:
        observations = _blocks(evidence, plan.block)
    found = mean_interval(observations, *alphas)
    if evidence.keys is None or len(np.unique(evidence.keys)) == evidence.labelled:
        return found
    by_key = mean_interval(_summed(evidence.differences, evidence.keys), *alphas)
    low, high = min(found.low, by_key.low), max(found.high, by_key.high)
    return Interval(found.mean, low, high, min(found.observations, by_key.observations))


def _blocks(evidence: Evidence, block: timedelta) -> NDArray[np.float64]:
    """One observation per block that is over: its summed differences, in units of an average block.

    Predictions of one storm fail together, so rows are no independent witnesses: on the flights of 2013,
    intervals that count rows call two seeds of one model different. Blocks longer than labels take nearly
    are. The newest block is left out: its labels are still coming. Nor are the rows of one key independent:
    whoever asks again brings the same habits, and in an experiment always to the same version.
    """
    since_start = evidence.at - to_micros(evidence.started_at)
    number = since_start // (block // timedelta(microseconds=1))
    is_over = number < number.max()
    return _summed(evidence.differences[is_over], number[is_over])


def _summed(differences: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of each group, in units of an average group."""
    _, number = np.unique(groups, return_inverse=True)
    sums = np.bincount(number, weights=differences).astype(np.float64)
    return sums / np.bincount(number).mean() if len(sums) else sums


def _broken(evidence: Evidence, plan: RolloutPlan, interval: Interval) -> Verdict | None:
    del plan
    if not evidence.broken:
        return None
    more = f", and {len(evidence.broken) - 1} more" if len(evidence.broken) > 1 else ""
    return Verdict("roll back", f"a check after the deployment failed: {evidence.broken[0]}{more}", interval)


def _harmful(evidence: Evidence, plan: RolloutPlan, interval: Interval) -> Verdict | None:
    reason = harm(evidence, plan)
    return Verdict("roll back", reason, interval) if reason else None


def _worse(evidence: Evidence, plan: RolloutPlan, interval: Interval) -> Verdict | None:
    if evidence.labelled < plan.minimum or interval.low <= 0:
        return None
    return Verdict("roll back", f"the challenger is worse: {_spelt(interval, plan)}", interval)


def _ready(evidence: Evidence, plan: RolloutPlan, interval: Interval) -> Verdict | None:
    if _unseen(evidence, plan):
        return None
    if _is_last(evidence, plan):
        return _won(plan, interval)
    if plan.goal == "healthy":
        return None if _is_overdue(evidence, plan) else Verdict("widen", "no guard fires", interval)
    if interval.high >= plan.margin or _is_overdue(evidence, plan):
        return None
    return Verdict("widen", f"no harm beyond {plan.margin:g}: {_spelt(interval, plan)}", interval)


def _won(plan: RolloutPlan, interval: Interval) -> Verdict | None:
    if plan.goal == "healthy":
        return Verdict("promote", "no guard fires", interval)
    if interval.high < 0:
        return Verdict("promote", f"the challenger is better: {_spelt(interval, plan)}", interval)
    if plan.goal == "harmless" and interval.high < plan.margin:
        return Verdict("promote", f"no harm beyond {plan.margin:g}: {_spelt(interval, plan)}", interval)
    return None


def _overdue(evidence: Evidence, plan: RolloutPlan, interval: Interval) -> Verdict | None:
    if not _is_overdue(evidence, plan):
        return None
    if plan.goal == "healthy":
        seen = f"{evidence.asked_in_step} of {plan.minimum} predictions"
        reason = f"only {seen} at this step within {_days(plan.max_duration)}"
    else:
        spelt = _spelt(interval, plan)
        reason = f"no evidence of being {_aim(plan)} within {_days(plan.max_duration)}: {spelt}"
    return Verdict("roll back", reason, interval)


def _aim(plan: RolloutPlan) -> str:
    return "better" if plan.goal == "better" else "no worse"


def _is_overdue(evidence: Evidence, plan: RolloutPlan) -> bool:
    return evidence.now - evidence.started_at >= plan.max_duration


def _is_last(evidence: Evidence, plan: RolloutPlan) -> bool:
    return plan.moves_freely or evidence.step == plan.steps - 1


def _unseen(evidence: Evidence, plan: RolloutPlan) -> str:
    """What there is too little of at this step, in words."""
    if not evidence.is_validated:
        return "its checks after the deployment have not been made yet"
    if not plan.ladder[evidence.step] and not plan.mirrored:
        return ""  # nobody asks it yet
    if evidence.now < evidence.step_since:
        return f"the clock was set back by {_days(evidence.step_since - evidence.now)}"
    kind, seen = "labelled predictions", evidence.labelled_in_step
    if plan.moves_freely:  # its share moves with every look, and no step is a new risk
        seen = evidence.labelled
    if plan.goal == "healthy":
        kind, seen = "predictions", evidence.asked_in_step
    if seen < plan.minimum:
        where = "" if plan.moves_freely else " at this step"
        return f"{seen} of {plan.minimum} {kind}{where}"
    baked = evidence.now - evidence.step_since
    return f"baked {_days(baked)} of {_days(plan.bake)}" if baked < plan.bake else ""


def _missing(evidence: Evidence, plan: RolloutPlan, interval: Interval) -> str:
    if unseen := _unseen(evidence, plan):
        return unseen
    if _is_last(evidence, plan):
        return f"not shown to be {_aim(plan)} yet: {_spelt(interval, plan)}"
    return f"harm beyond {plan.margin:g} is not excluded yet: {_spelt(interval, plan)}"


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.4g} days"


def _spelt(interval: Interval, plan: RolloutPlan) -> str:
    what = plan.metric.replace("_", " ")
    if math.isinf(interval.low) and math.isinf(interval.high):
        return f"{what} not known yet from {interval.observations} observations"
    bounds = f"between {interval.low:+.4f} and {interval.high:+.4f}"
    return f"{what} {interval.mean:+.4f} per prediction, {bounds}, from {interval.observations} observations"
