"""The guards of a rollout: each looks for one kind of harm, as often as one likes, and is rarely wrong.

A guard gives its reason in words, or nothing. Together they are ever wrong in at most the plan's `harm_alpha`
of rollouts that do no harm: each has an equal part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esteira.serving.rollout.sequences import distance_bound, exceeds_rate, is_other_split

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.serving.rollout.evidence import Evidence
    from esteira.serving.rollout.plan import RolloutPlan

    Guard = Callable[[Evidence, RolloutPlan, float], str]

UNNOTICED_S = 0.001  # a champion counts as this slow at least: nobody waits for microseconds, and caches vary
_LEAST_TIMED = 100  # requests of each before latency is a measure: the first ones are slow with any model
_BEARABLE = 2.0  # times the champion's rate of errors, where the two are not asked at the same time
_QUANTILES = (("half of its requests", 0.5), ("a hundredth of its requests", 0.99))


def harm(evidence: Evidence, plan: RolloutPlan) -> str:
    """Why the challenger must leave, whatever its predictions are worth; empty when nothing says so."""
    alpha = plan.harm_alpha / (len(_GUARDS) + 1)  # one part is that of the labels
    return next((reason for guard in _GUARDS if (reason := guard(evidence, plan, alpha))), "")


def labels_alpha(plan: RolloutPlan) -> float:
    """The part of `harm_alpha` that is left for the metric on labels."""
    return plan.harm_alpha / (len(_GUARDS) + 1)


def _nonfinite(evidence: Evidence, plan: RolloutPlan, alpha: float) -> str:
    del plan, alpha
    spoilt = evidence.challenger.nonfinite + int(np.count_nonzero(~np.isfinite(evidence.differences)))
    return f"{spoilt} scores of the challenger are no numbers" if spoilt else ""


def _errors(evidence: Evidence, plan: RolloutPlan, alpha: float) -> str:
    """More errors than are allowed, and more than the champion has: what fails for both is no harm of one."""
    mine, other, limit = evidence.challenger, evidence.champion, plan.max_error_rate
    if not exceeds_rate(mine.errors, mine.requests, limit, alpha):
        return ""
    if other.errors and not _fails_more_often(evidence, plan.ladder[evidence.step], alpha):
        return ""
    return f"{mine.errors} of {mine.requests} requests failed, more than {limit:.1%} allowed"


def _fails_more_often(evidence: Evidence, share: float, alpha: float) -> bool:
    """Whether the challenger fails more often than the champion, which has failed too."""
    mine, other = evidence.challenger, evidence.champion
    if share == 1:  # bad times since the champion was asked last are no harm of the challenger
        usual = min(_BEARABLE * other.errors / other.requests, 0.9)
        return exceeds_rate(mine.errors, mine.requests, usual, alpha)
    part = max(mine.requests / (mine.requests + other.requests), share)  # nor are those at a larger share
    return exceeds_rate(mine.errors, mine.errors + other.errors, part, alpha)


def _latency(evidence: Evidence, plan: RolloutPlan, alpha: float) -> str:
    mine, other, ratio = evidence.challenger.latencies, evidence.champion.latencies, plan.max_latency_ratio
    if plan.mirrored or min(len(mine), len(other)) < _LEAST_TIMED:  # a shadow yields to everybody
        return ""
    for words, quantile in _QUANTILES:
        usual = max(float(np.quantile(other, quantile)), UNNOTICED_S)
        slow = int(np.count_nonzero(mine > ratio * usual))
        if exceeds_rate(slow, len(mine), 1 - quantile, alpha / len(_QUANTILES)):
            return (
                f"the challenger takes over {ratio:g} times as long as the champion ({usual * 1e3:.3g} ms)"
                f" for more than {words}: {slow} of {len(mine)}"
            )
    return ""


def _score_shift(evidence: Evidence, plan: RolloutPlan, alpha: float) -> str:
    if plan.max_score_shift is None:
        return ""
    least = distance_bound(evidence.champion.scores, evidence.challenger.scores, alpha)
    if least <= plan.max_score_shift:
        return ""
    return (
        f"the scores of the challenger are distributed otherwise than the champion's: a distance of at least"
        f" {least:.2f}, more than {plan.max_score_shift:g} allowed"
    )


def _disagreement(evidence: Evidence, plan: RolloutPlan, alpha: float) -> str:
    found = evidence.agreement
    if found is None or plan.min_agreement is None:
        return ""
    apart = found.compared - found.agreeing
    if not exceeds_rate(apart, found.compared, 1 - plan.min_agreement, alpha):
        return ""
    allowed = f"less than the {plan.min_agreement:.1%} asked for"
    return f"both say the same on {found.agreeing} of {found.compared} requests, {allowed}"


def _split(evidence: Evidence, plan: RolloutPlan, alpha: float) -> str:
    """A sample-ratio mismatch: whatever the comparison says then, it compares other crowds."""
    split, alpha = evidence.split, alpha / plan.steps  # each step deals anew
    if split is None or not is_other_split(split.champion, split.challenger, split.share, alpha):
        return ""
    seen = split.champion + split.challenger
    return (
        f"sample-ratio mismatch: {split.challenger} of {seen} keys went to the challenger, whose share is"
        f" {split.share:.1%}; the split is broken, so nothing can be compared"
    )


_GUARDS: tuple[Guard, ...] = (_nonfinite, _errors, _latency, _score_shift, _disagreement, _split)
