from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esteira.base.clock import SimulatedClock
from esteira.base.errors import BadInput, NotFound
from esteira.governance.ledger import AuditLedger
from esteira.serving.rollout.plan import CanaryPlan
from esteira.serving.rollout.state import (
    IllegalMove,
    Rollout,
    RolloutMoved,
    RolloutState,
    RolloutStore,
    RolloutUnderWay,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from esteira.base.ports import AuditTrail
    from esteira.base.records import AuditEvent

START = datetime(2013, 6, 1, tzinfo=UTC)
PLAN = CanaryPlan((0.05, 0.25, 1.0), timedelta(days=1), 200, timedelta(days=28))


class House:
    """A store with its clock and its ledger, that can be opened again as after a crash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SimulatedClock(start=START)
        self.ledger = AuditLedger(f"sqlite:{folder}/audit.db", self.clock, "ring")
        self.store = self.open()

    def open(self, audit: AuditTrail | None = None) -> RolloutStore:
        return RolloutStore(f"sqlite:{self.folder}/state.db", audit or self.ledger, self.clock)

    def recorded(self) -> list[str]:
        return [event.action for event in self.ledger.events()]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


class KilledWhileRecording:
    """An audit trail that writes its record, and then the machine goes off."""

    def __init__(self, ledger: AuditLedger) -> None:
        self.ledger = ledger

    def record(
        self, action: str, resource: str, *, reason: str = "", facts: Mapping[str, object] | None = None
    ) -> AuditEvent:
        self.ledger.record(action, resource, reason=reason, facts=facts)
        raise KeyboardInterrupt


def test_a_rollout_goes_from_pending_over_its_steps_to_promoted(house: House) -> None:
    rollout = house.store.start("late", 1, 2, PLAN, "alert")
    shares = [rollout.share]
    for _ in PLAN.shares:
        house.clock.advance(timedelta(days=1))
        rollout = house.store.advance(rollout, "no harm")
        shares.append(rollout.share)
    assert shares == [0.0, 0.05, 0.25, 1.0]
    assert (rollout.started_at, rollout.step_since) == (START, START + timedelta(days=3))
    rollout = house.store.finish(rollout, RolloutState.PROMOTED, "better")
    assert (rollout.state, rollout.share, house.store.active("late")) == (RolloutState.PROMOTED, 1.0, None)


def test_every_change_is_an_audit_record_that_says_what_and_why(house: House) -> None:
    rollout = house.store.start("late", 1, 2, PLAN, "alert")
    rollout = house.store.advance(rollout, "begin", {"rows": 3})
    house.store.finish(rollout, RolloutState.ROLLED_BACK, "worse")
    events = house.ledger.events(resource="model/late")
    assert [event.action for event in events] == ["rollout.start", "rollout.advance", "rollout.finish"]
    assert [event.reason for event in events] == ["alert", "begin", "worse"]
    assert events[1].facts["share"] == 0.05
    assert events[1].facts["evidence"] == {"rows": 3}
    assert events[2].facts["from"] == "running at step 1 of 3"


def test_where_a_rollout_stands_survives_the_process(house: House) -> None:
    rollout = house.store.advance(house.store.start("late", 1, 2, PLAN), "begin", {"mean": -0.1})
    again = house.open()
    assert again.active("late") == rollout
    assert again.get(rollout.id) == rollout


def test_starting_the_rollout_under_way_again_gives_that_one(house: House) -> None:
    rollout = house.store.advance(house.store.start("late", 1, 2, PLAN), "begin")
    assert house.open().start("late", 1, 2, PLAN) == rollout
    assert house.recorded() == ["rollout.start", "rollout.advance"]


def test_a_model_has_one_rollout_at_a_time(house: House) -> None:
    house.store.start("late", 1, 2, PLAN)
    house.store.start("early", 1, 2, PLAN)
    with pytest.raises(RolloutUnderWay, match="version 2 of late is being rolled out already"):
        house.store.start("late", 1, 3, PLAN)


def test_a_version_cannot_challenge_itself(house: House) -> None:
    with pytest.raises(BadInput, match="cannot challenge itself"):
        house.store.start("late", 2, 2, PLAN)
    assert house.recorded() == []


def test_rollouts_that_follow_each_other_within_one_tick_are_different(house: House) -> None:
    first = house.store.finish(house.store.start("late", 1, 2, PLAN), RolloutState.ROLLED_BACK, "stop")
    second = house.store.start("late", 1, 2, PLAN)
    assert [each.id for each in house.store.history("late")] == [first.id, second.id]
    assert first.id != second.id


def test_a_challenger_is_promoted_from_the_last_step_only(house: House) -> None:
    rollout = house.store.advance(house.store.start("late", 1, 2, PLAN), "begin")
    with pytest.raises(IllegalMove, match="running at step 1 of 3 and cannot be promoted"):
        house.store.finish(rollout, RolloutState.PROMOTED, "in a hurry")
    assert house.store.active("late") == rollout
    assert house.recorded() == ["rollout.start", "rollout.advance"]


def test_a_finished_rollout_does_not_move(house: House) -> None:
    done = house.store.finish(house.store.start("late", 1, 2, PLAN), RolloutState.ROLLED_BACK, "stop")
    with pytest.raises(IllegalMove):
        house.store.advance(done, "again")
    with pytest.raises(IllegalMove):
        house.store.hold(done, "again")
    with pytest.raises(IllegalMove):
        house.store.finish(done, RolloutState.PROMOTED, "again")


def test_finishing_twice_the_same_way_is_one_finish(house: House) -> None:
    rollout = house.store.start("late", 1, 2, PLAN)
    done = house.store.finish(rollout, RolloutState.ROLLED_BACK, "stop")
    assert house.store.finish(rollout, RolloutState.ROLLED_BACK, "stop") == done
    assert house.recorded() == ["rollout.start", "rollout.finish"]


def test_a_rollout_that_another_process_moved_is_not_moved_twice(house: House) -> None:
    stale = house.store.start("late", 1, 2, PLAN)
    moved = house.open().advance(stale, "begin")
    with pytest.raises(RolloutMoved, match="read it again"):
        house.store.advance(stale, "begin")
    assert house.store.active("late") == moved


def test_a_hold_keeps_what_was_seen_and_is_no_audit_record(house: House) -> None:
    rollout = house.store.advance(house.store.start("late", 1, 2, PLAN), "begin")
    house.clock.advance(timedelta(days=1))
    held = house.store.hold(rollout, "too few labels", {"rows": 7})
    assert (held.step, held.step_since, held.evidence) == (0, START, {"rows": 7})
    assert house.recorded() == ["rollout.start", "rollout.advance"]
    changes = house.store.changes(rollout.id)
    assert [change.reason for change in changes] == ["", "begin", "too few labels"]
    assert (changes[-1].at, changes[-1].evidence) == (START + timedelta(days=1), {"rows": 7})


def test_evidence_that_is_no_json_is_refused_and_changes_nothing(house: House) -> None:
    rollout = house.store.start("late", 1, 2, PLAN)
    with pytest.raises(BadInput, match="JSON values"):
        house.store.advance(rollout, "begin", {"mean": float("nan")})
    assert house.store.active("late") == rollout


def test_a_kill_after_the_record_leaves_the_rollout_where_it_stood(house: House) -> None:
    killed = house.open(KilledWhileRecording(house.ledger))
    with pytest.raises(KeyboardInterrupt):
        killed.start("late", 1, 2, PLAN)
    assert house.open().active("late") is None
    rollout = house.store.start("late", 1, 2, PLAN)
    with pytest.raises(KeyboardInterrupt):
        killed.advance(rollout, "begin")
    with pytest.raises(KeyboardInterrupt):
        killed.finish(rollout, RolloutState.ROLLED_BACK, "stop")
    assert house.open().active("late") == rollout
    assert house.store.advance(rollout, "begin").step == 0


def test_an_unknown_rollout_is_not_found(house: House) -> None:
    with pytest.raises(NotFound, match="rollout 'x'"):
        house.store.get("x")


MOVES = st.sampled_from(["advance", "hold", "promote", "roll back", "reopen", "start"])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(MOVES, max_size=12))
def test_whatever_is_tried_only_legal_paths_are_taken(
    moves: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    house = House(tmp_path_factory.mktemp("house"))
    rollout = house.store.start("late", 1, 2, PLAN)
    for move in moves:
        rollout = attempted(house, rollout, move)
    path = [(change.state, change.step) for change in house.store.changes(rollout.id)]
    steps = [step for _, step in path]
    assert steps == sorted(steps)
    assert path[0] == (RolloutState.PENDING, -1)
    assert all(after - before <= 1 for before, after in pairwise(steps))
    ends = [
        at for at, (state, _) in enumerate(path) if state in (RolloutState.PROMOTED, RolloutState.ROLLED_BACK)
    ]
    assert ends in ([], [len(path) - 1])
    if path[-1][0] is RolloutState.PROMOTED:
        assert path[-2] == (RolloutState.RUNNING, 2)


def attempted(house: House, rollout: Rollout, move: str) -> Rollout:
    try:
        if move == "advance":
            return house.store.advance(rollout, move)
        if move == "hold":
            return house.store.hold(rollout, move)
        if move in ("promote", "roll back"):
            end = RolloutState.PROMOTED if move == "promote" else RolloutState.ROLLED_BACK
            return house.store.finish(rollout, end, move)
        if move == "start" and rollout.is_active:
            return house.store.start("late", 1, 2, PLAN)
    except IllegalMove:
        return rollout
    house.store = house.open()
    return house.store.get(rollout.id)
