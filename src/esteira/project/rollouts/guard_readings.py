"""What each guard of a rollout saw, beside its limit, and whether it fires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esteira.serving.rollout.evidence import ArmSeen, Evidence
from esteira.serving.rollout.guards import UNNOTICED_S, harm

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import NDArray

    from esteira.project.rollouts.traffic import RolloutTraffic
    from esteira.serving.rollout.plan import RolloutPlan
    from esteira.serving.rollout.state import Rollout

QUIET, FIRES, NOTHING_SEEN, OFF = "quiet", "fires", "nothing seen yet", "not asked for"
BY_RING = "judged by the ring"  # which scores the same requests with both models


@dataclass(frozen=True, slots=True)
class GuardReading:
    """One guard: what it watches, what it saw, what is allowed."""

    name: str
    seen: str  # numbers with their unit; empty while there are none
    limit: str
    state: str  # one of the words above
    reason: str = ""  # of one that fires, in words


def guard_readings(traffic: RolloutTraffic, rollout: Rollout) -> list[GuardReading]:
    """Every guard of the plan, judged alone on what was seen."""
    plan = rollout.plan
    asks = _Asks(rollout, traffic)
    return [each(traffic, plan, asks) for each in (_numbers, _errors, _latency, _scores, _agreement, _split)]


class _Asks:
    """Asks the guards about one kind of evidence and no other."""

    def __init__(self, rollout: Rollout, traffic: RolloutTraffic) -> None:
        self._rollout, self._now = rollout, traffic.until

    def __call__(self, **seen: Any) -> str:  # noqa: ANN401 - fields of the evidence
        none = np.empty(0)
        rollout = self._rollout
        evidence = Evidence(
            step=max(rollout.step, 0),
            started_at=rollout.started_at,
            step_since=rollout.step_since,
            now=self._now,
            at=none.astype(np.int64),
            differences=none,
            **seen,
        )
        return harm(evidence, rollout.plan)


def _reading(name: str, seen: str, limit: str, ask: Callable[[], str]) -> GuardReading:
    if not seen:
        return GuardReading(name, "", limit, NOTHING_SEEN)
    reason = ask()
    return GuardReading(name, seen, limit, FIRES if reason else QUIET, reason)


def _numbers(traffic: RolloutTraffic, plan: RolloutPlan, asks: _Asks) -> GuardReading:
    del plan
    mine = traffic.challenger
    seen = str(mine.nonfinite) if len(mine.scores) else ""
    return _reading(
        "scores that are no numbers", seen, "0", lambda: asks(challenger=ArmSeen(scores=mine.scores))
    )


def _errors(traffic: RolloutTraffic, plan: RolloutPlan, asks: _Asks) -> GuardReading:
    mine, other = traffic.challenger, traffic.champion
    seen = f"{mine.errors / mine.requests:.2%}" if mine.requests else ""
    return _reading(
        "requests that failed",
        seen,
        f"≤ {plan.max_error_rate:.2%}",
        lambda: asks(
            champion=ArmSeen(other.requests, other.errors), challenger=ArmSeen(mine.requests, mine.errors)
        ),
    )


def _latency(traffic: RolloutTraffic, plan: RolloutPlan, asks: _Asks) -> GuardReading:
    mine, other = traffic.challenger.latencies, traffic.champion.latencies
    seen = ""
    if len(mine) and len(other):
        ratios = [
            float(np.quantile(mine, at)) / max(float(np.quantile(other, at)), UNNOTICED_S)
            for at in (0.5, 0.99)
        ]
        seen = f"p50 ×{ratios[0]:.2f}, p99 ×{ratios[1]:.2f}"
    return _reading(
        "latency, of the champion's",
        seen,
        f"≤ ×{plan.max_latency_ratio:g}",
        lambda: asks(champion=ArmSeen(latencies=other), challenger=ArmSeen(latencies=mine)),
    )


def _scores(traffic: RolloutTraffic, plan: RolloutPlan, asks: _Asks) -> GuardReading:
    name = "distance between the scores"
    mine, other = _finite(traffic.challenger.scores), _finite(traffic.champion.scores)
    seen = f"{observed_distance(other, mine):.3f}" if len(mine) and len(other) else ""
    if plan.max_score_shift is None:
        return GuardReading(name, seen, "", OFF)
    return _reading(
        name,
        seen,
        f"≤ {plan.max_score_shift:g}",
        lambda: asks(champion=ArmSeen(scores=other), challenger=ArmSeen(scores=mine)),
    )


def _agreement(traffic: RolloutTraffic, plan: RolloutPlan, asks: _Asks) -> GuardReading:
    name, found = "answers on which both agree", traffic.agreement
    seen = f"{found.agreeing / found.compared:.2%}" if found is not None else ""
    if plan.min_agreement is None:
        return GuardReading(name, seen, "", OFF)
    limit = f"≥ {plan.min_agreement:.2%}"
    if not plan.mirrored:
        return GuardReading(name, "", limit, BY_RING)
    return _reading(name, seen, limit, lambda: asks(agreement=found))


def _split(traffic: RolloutTraffic, plan: RolloutPlan, asks: _Asks) -> GuardReading:
    name = "keys that went to the challenger"
    if plan.mirrored:
        return GuardReading(name, "", "", OFF)
    dealt = [each.keys for each in traffic.dealt if 0 < each.share < 1]
    if not dealt:
        return GuardReading(name, "", "", NOTHING_SEEN)
    newest = dealt[-1]
    keys = newest.champion + newest.challenger
    return _reading(
        name,
        f"{newest.challenger / keys:.2%}" if keys else "",
        f"= {newest.share:.2%}",
        lambda: asks(split=newest),
    )


def observed_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The Kolmogorov–Smirnov distance of two samples, 0 to 1. Shapes: one (n,), other (m,), both not empty.

    >>> observed_distance(np.array([0.0, 1.0]), np.array([1.0, 1.0]))
    0.5
    """
    one, other = np.sort(one), np.sort(other)
    places = np.concatenate([one, other])
    below = (np.searchsorted(each, places, "right") / len(each) for each in (one, other))
    return float(np.max(np.abs(next(below) - next(below))))


def _finite(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return scores[np.isfinite(scores)]
