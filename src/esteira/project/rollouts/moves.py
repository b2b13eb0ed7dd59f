"""The history of a rollout, told apart: its moves, with who made them, and the looks between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.serving.rollout.state import RolloutState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from esteira.base.records import AuditEvent
    from esteira.project.station import Station
    from esteira.serving.rollout.plan import RolloutPlan
    from esteira.serving.rollout.state import Rollout, RolloutChange

_RECORDS = 2_000  # newest of a model that are looked through
_ACTIONS: Mapping[str, str] = {
    # a move → the action under which the audit ledger keeps it
    "asked for": "rollout.start",
    "began": "rollout.advance",
    "widened": "rollout.advance",
    "shifted": "rollout.advance",
    "paused": "rollout.pause",
    "resumed": "rollout.resume",
    "promoted": "rollout.finish",
    "rolled back": "rollout.finish",
}


@dataclass(frozen=True, slots=True)
class Move:
    """One change of where a rollout stands."""

    at: datetime
    act: str  # asked for, began, widened, shifted, paused, resumed, promoted or rolled back
    share: float  # of the traffic that the challenger has from then on
    reason: str
    who: str = ""  # the actor of the audit record; empty when that is gone


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the labels said: how much worse the challenger is, below 0 better.

    A bound is None while it is infinite.
    """

    at: datetime
    mean: float | None
    low: float | None
    high: float | None
    observations: int


def history_of(station: Station, rollout: Rollout) -> tuple[list[Move], list[Look]]:
    """The moves of a rollout and the looks at it, oldest first. Raises: CorruptArtifact."""
    changes = station.rollouts.changes(rollout.id)
    records = station.audit.events(_RECORDS, since=rollout.started_at, resource=f"model/{rollout.model}")
    mine = [each for each in records if each.facts.get("rollout") == rollout.id]
    return moves_of(changes, rollout.plan, mine), looks_of(changes)


def moves_of(
    changes: Sequence[RolloutChange], plan: RolloutPlan, records: Sequence[AuditEvent] = ()
) -> list[Move]:
    """The changes that moved it, oldest first, each with the newest record of the same act and reason.

    A record is written before its move, so one whose move was cut off by a kill belongs to none.
    """
    waiting = [*records]
    found: list[Move] = []
    acts = [_act(before, each, plan) for before, each in zip((None, *changes), changes, strict=False)]
    for change, act in reversed([*zip(changes, acts, strict=True)]):
        if not act:
            continue
        record = _pop(waiting, change, _ACTIONS[act])
        who = "" if record is None else record.actor
        found.append(Move(change.at, act, _share(change, plan), change.reason, who))
    return found[::-1]


def _act(before: RolloutChange | None, change: RolloutChange, plan: RolloutPlan) -> str:
    if before is None:
        return "asked for"
    if change.state is before.state and change.step == before.step:
        return ""  # a look
    if change.state in (RolloutState.PROMOTED, RolloutState.ROLLED_BACK):
        return change.state.value
    if before.state is RolloutState.PENDING:
        return "began"
    if change.step != before.step:
        return "shifted" if plan.moves_freely else "widened"
    return "paused" if change.state is RolloutState.PAUSED else "resumed"


def _share(change: RolloutChange, plan: RolloutPlan) -> float:
    if change.state is RolloutState.PROMOTED:
        return 1.0
    if change.state is RolloutState.ROLLED_BACK or change.step < 0:
        return 0.0
    return plan.ladder[change.step]


def _pop(waiting: list[AuditEvent], change: RolloutChange, action: str) -> AuditEvent | None:
    for at in range(len(waiting) - 1, -1, -1):
        record = waiting[at]
        if record.action == action and record.reason == change.reason and record.at <= change.at:
            del waiting[at:]
            return record
    return None


def looks_of(changes: Iterable[RolloutChange]) -> list[Look]:
    """What the labels said at each look that saw some, oldest first."""
    found: list[Look] = []
    for each in changes:
        seen = each.evidence
        if isinstance(seen.get("mean"), int | float):
            mean, low, high = (_number(seen.get(name)) for name in ("mean", "low", "high"))
            look = Look(each.at, mean, low, high, int(_number(seen.get("observations")) or 0))
            if not found or _said(found[-1]) != _said(look):
                found.append(look)
    return found


def _said(look: Look) -> tuple[object, ...]:
    return look.mean, look.low, look.high, look.observations


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
