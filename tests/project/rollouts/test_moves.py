from __future__ import annotations

from datetime import UTC, datetime, timedelta

from esteira.base.records import AuditEvent
from esteira.project.rollouts.moves import looks_of, moves_of
from esteira.serving.rollout.state import RolloutChange, RolloutState
from esteira.serving.rollout.strategies import Bandit, Canary

START = datetime(2020, 1, 1, tzinfo=UTC)
PENDING, RUNNING, PAUSED = RolloutState.PENDING, RolloutState.RUNNING, RolloutState.PAUSED
PROMOTED, BACK = RolloutState.PROMOTED, RolloutState.ROLLED_BACK


def change(hour: int, state: RolloutState, step: int, reason: str = "why", **seen: object) -> RolloutChange:
    return RolloutChange("r", START + timedelta(hours=hour), state, step, reason, seen)


def record(hour: int, action: str, reason: str, actor: str) -> AuditEvent:
    at = START + timedelta(hours=hour)
    return AuditEvent(hour, at, actor, action, "model/m", reason, {"rollout": "r"}, "", "")


def test_moves_are_told_from_looks_and_from_each_other() -> None:
    changes = [
        change(0, PENDING, -1),
        change(1, RUNNING, 0),
        change(2, RUNNING, 0, "a look"),
        change(3, PAUSED, 0),
        change(4, PAUSED, 0, "a look"),
        change(5, RUNNING, 0),
        change(6, RUNNING, 1),
        change(7, PROMOTED, 1),
    ]
    moves = moves_of(changes, Canary((0.1, 1.0)))
    acts = ["asked for", "began", "paused", "resumed", "widened", "promoted"]
    assert [each.act for each in moves] == acts
    assert [each.share for each in moves] == [0.0, 0.1, 0.1, 0.1, 1.0, 1.0]
    assert [each.at.hour for each in moves] == [0, 1, 3, 5, 6, 7]


def test_a_rollout_that_is_ended_leaves_the_challenger_nothing() -> None:
    moves = moves_of([change(0, PENDING, -1), change(1, RUNNING, 0), change(2, BACK, 0)], Canary())
    assert (moves[-1].act, moves[-1].share) == ("rolled back", 0.0)


def test_a_bandit_shifts_and_does_not_widen() -> None:
    bandit = Bandit(floor=0.1)
    first = bandit.first_step
    changes = [change(0, PENDING, -1), change(1, RUNNING, first), change(2, RUNNING, first - 5)]
    assert [each.act for each in moves_of(changes, bandit)] == ["asked for", "began", "shifted"]


def test_each_move_names_who_made_it_and_a_cut_off_record_names_nobody() -> None:
    changes = [
        change(0, PENDING, -1, "go"),
        change(1, RUNNING, 0, "go"),
        change(3, PAUSED, 0, "wait"),
        change(5, RUNNING, 0, "on"),
    ]
    records = [
        record(0, "rollout.start", "go", "ana"),
        record(1, "rollout.advance", "go", "bob"),
        record(2, "rollout.pause", "wait", "killed"),  # recorded, and then the process was gone
        record(3, "rollout.pause", "wait", "eva"),
    ]
    assert [each.who for each in moves_of(changes, Canary(), records)] == ["ana", "bob", "eva", ""]


def test_looks_keep_what_labels_said_and_an_infinite_bound_is_none() -> None:
    changes = [
        change(0, RUNNING, 0),
        change(1, RUNNING, 0, mean=0.1, low=None, high=None, observations=1),
        change(2, RUNNING, 0, mean=0.2, low=-0.5, high=0.9, observations=8),
        change(3, PAUSED, 0, mean=0.2, low=-0.5, high=0.9, observations=8),
    ]
    first, second = looks_of(changes)
    assert (first.mean, first.low, first.high, first.observations) == (0.1, None, None, 1)
    assert (second.mean, second.low, second.high, second.observations) == (0.2, -0.5, 0.9, 8)
