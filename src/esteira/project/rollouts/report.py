"""All that is known of a rollout: how it went, what was seen of both versions, what its guards say."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.records import to_plain
from esteira.project.rollouts.drawings import score_edges
from esteira.project.rollouts.guard_readings import guard_readings
from esteira.project.rollouts.moves import history_of
from esteira.project.rollouts.traffic import traffic_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from esteira.project.rollouts.guard_readings import GuardReading
    from esteira.project.rollouts.moves import Look, Move
    from esteira.project.rollouts.traffic import RolloutTraffic
    from esteira.project.station import Station
    from esteira.serving.rollout.evidence import ArmSeen
    from esteira.serving.rollout.state import Rollout


@dataclass(frozen=True, slots=True, eq=False)
class RolloutReport:
    """A rollout with its evidence, up to its end or to now."""

    rollout: Rollout
    at: datetime
    moves: Sequence[Move]
    looks: Sequence[Look]
    traffic: RolloutTraffic
    guards: Sequence[GuardReading]

    @property
    def last_look(self) -> Look | None:
        return self.looks[-1] if self.looks else None

    @property
    def time_at_step(self) -> timedelta:
        return self.at - self.rollout.step_since

    @property
    def is_at_last_step(self) -> bool:
        """Whether there is no further step but promotion."""
        plan = self.rollout.plan
        return plan.moves_freely or self.rollout.step == plan.steps - 1


def report_of(station: Station, rollout_id: str, earlier: RolloutReport | None = None) -> RolloutReport:
    """The report of a rollout that is under way or ended.

    `earlier` is one of the same tables and the same step: what was read from them is not read again.

    No model is loaded. What the gateway logged but nobody moved to the tables yet is not in it.
    Raises: NotFound, CorruptArtifact.
    """
    rollout = station.rollouts.get(rollout_id)
    moves, looks = history_of(station, rollout)
    at = end_of(station, rollout, moves)
    if earlier is not None:
        return replace(earlier, rollout=rollout, at=at, moves=moves, looks=looks)
    traffic = traffic_of(station, rollout, at)
    return RolloutReport(rollout, at, moves, looks, traffic, guard_readings(traffic, rollout))


def end_of(station: Station, rollout: Rollout, moves: Sequence[Move] = ()) -> datetime:
    """When a rollout ended, or now."""
    if rollout.is_active:
        return station.clock.now()
    if moves:
        return moves[-1].at
    return station.rollouts.changes(rollout.id)[-1].at


def latency_of(arm: ArmSeen, quantile: float) -> float | None:
    """Seconds within which that part of the requests was answered; None if none was."""
    return float(np.quantile(arm.latencies, quantile)) if len(arm.latencies) else None


def plain(report: RolloutReport) -> dict[str, Any]:
    """The report as JSON values: times as ISO 8601, seconds, shares from 0 to 1; what is unknown is null."""
    rollout, traffic = report.rollout, report.traffic
    arms = {
        "champion": _arm(traffic.champion, rollout.champion_version),
        "challenger": _arm(traffic.challenger, rollout.challenger_version),
    }
    return {
        "id": rollout.id,
        "model": rollout.model,
        "state": str(rollout.state),
        "standing": rollout.standing,
        "started_at": rollout.started_at.isoformat(),
        "up_to": report.at.isoformat(),
        "reason": rollout.reason,
        "verdict": dict(rollout.evidence),
        "plan": rollout.plan.to_plain(),
        "arms": arms,
        "scores": _scores(traffic),
        "dealt": [to_plain(each) for each in traffic.dealt],
        "labelled": traffic.labelled,
        "agreement": None if traffic.agreement is None else to_plain(traffic.agreement),
        "guards": [to_plain(each) for each in report.guards],
        "moves": [to_plain(each) for each in report.moves],
        "looks": [to_plain(each) for each in report.looks],
    }


def _arm(arm: ArmSeen, version: int) -> dict[str, Any]:
    mean = float(np.mean(arm.scores)) if len(arm.scores) else math.nan
    return {
        "version": version,
        "requests": arm.requests,
        "errors": arm.errors,
        "p50_s": latency_of(arm, 0.5),
        "p99_s": latency_of(arm, 0.99),
        "mean_score": mean if math.isfinite(mean) else None,
    }


def _scores(traffic: RolloutTraffic) -> dict[str, Any] | None:
    arms = [each.scores[np.isfinite(each.scores)] for each in (traffic.champion, traffic.challenger)]
    if not any(len(each) for each in arms):
        return None
    edges = score_edges(*arms)
    counts = [np.histogram(each, edges)[0].tolist() for each in arms]
    return {"edges": edges.tolist(), "champion": counts[0], "challenger": counts[1]}
