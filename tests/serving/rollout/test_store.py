from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from tests.serving.rollout.houses import (
    DAY,
    PAUSED,
    PLAN,
    PROMOTED,
    ROLLED_BACK,
    RUNNING,
    START,
    House,
    KilledWhileRecording,
)

from esteira.base.clock import SimulatedClock
from esteira.base.errors import BadInput, EsteiraError, NotFound
from esteira.serving.rollout.state import IllegalMove, Rollout, RolloutMoved, RolloutUnderWay
from esteira.serving.rollout.strategies import Bandit, BlueGreen

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def house(state_url: str, tmp_path: Path) -> House:
    return House(state_url, tmp_path)


def test_a_rollout_goes_from_pending_over_its_steps_to_promoted(house: House) -> None:
    rollout = house.store.start("late", 1, 2, PLAN, "alert")
    shares = [rollout.share]
    for _ in PLAN.shares:
        house.clock.advance(DAY)
        rollout = house.store.advance(rollout, "no harm")
        shares.append(rollout.share)
    assert shares == [0.0, 0.05, 0.25, 1.0]
    assert (rollout.started_at, rollout.step_since) == (START, START + 3 * DAY)
    rollout = house.store.finish(rollout, PROMOTED, "better")
    assert (rollout.state, rollout.share, house.store.active("late")) == (PROMOTED, 1.0, None)


def test_every_change_is_an_audit_record_that_says_what_and_why(house: House) -> None:
    rollout = house.store.start("late", 1, 2, PLAN, "alert")
    rollout = house.store.advance(rollout, "begin", {"rows": 3})
    rollout = house.store.resume(house.store.pause(rollout, "lunch"), "back")
    house.store.finish(rollout, ROLLED_BACK, "worse")
    events = house.ledger.events(resource="model/late")
    words = ["start", "advance", "pause", "resume", "finish"]
    assert [event.action for event in events] == [f"rollout.{word}" for word in words]
    assert [event.reason for event in events] == ["alert", "begin", "lunch", "back", "worse"]
    assert (events[1].facts["share"], events[1].facts["evidence"]) == (0.05, {"rows": 3})
    assert events[4].facts["from"] == "running at step 1 of 3"


def test_where_a_rollout_stands_survives_the_process(house: House) -> None:
    rollout = house.store.advance(house.store.start("late", 1, 2, PLAN), "begin", {"mean": -0.1})
    again = house.open()
    assert again.active("late") == rollout
    assert again.get(rollout.id) == rollout


def test_starting_the_rollout_under_way_again_gives_that_one(house: House) -> None:
    rollout = house.begun()
    assert house.open().start("late", 1, 2, PLAN) == rollout
    assert house.recorded() == ["rollout.start", "rollout.advance"]


def test_a_model_has_one_rollout_at_a_time_also_while_it_is_paused(house: House) -> None:
    house.store.pause(house.begun(), "lunch")
    house.store.start("early", 1, 2, PLAN)
    with pytest.raises(RolloutUnderWay, match="version 2 of late is being rolled out already"):
        house.store.start("late", 1, 3, PLAN)


def test_a_version_cannot_challenge_itself(house: House) -> None:
    with pytest.raises(BadInput, match="cannot challenge itself"):
        house.store.start("late", 2, 2, PLAN)
    assert house.recorded() == []


def test_rollouts_that_follow_each_other_within_one_tick_are_different(house: House) -> None:
    first = house.store.finish(house.store.start("late", 1, 2, PLAN), ROLLED_BACK, "stop")
    second = house.store.start("late", 1, 2, PLAN)
    assert [each.id for each in house.store.history("late")] == [first.id, second.id]
    assert first.id != second.id


def test_a_clock_that_is_set_back_does_not_change_which_rollout_came_last(house: House) -> None:
    first = house.store.finish(house.store.start("late", 1, 2, PLAN), ROLLED_BACK, "stop")
    house.clock = SimulatedClock(start=START - 3 * DAY)
    second = house.open().start("late", 1, 3, PLAN)
    assert second.started_at < first.started_at
    assert [each.id for each in house.store.history("late")] == [first.id, second.id]


def test_a_challenger_is_promoted_from_the_last_step_only(house: House) -> None:
    rollout = house.begun()
    with pytest.raises(IllegalMove, match="running at step 1 of 3 and cannot be promoted"):
        house.store.finish(rollout, PROMOTED, "in a hurry")
    assert house.store.active("late") == rollout
    assert house.recorded() == ["rollout.start", "rollout.advance"]


def test_a_person_may_promote_from_any_step_and_out_of_a_pause_but_not_before_the_first(house: House) -> None:
    pending = house.store.start("late", 1, 2, PLAN)
    with pytest.raises(IllegalMove, match="is pending and cannot be promoted"):
        house.store.finish(pending, PROMOTED, "now", is_by_hand=True)
    paused = house.store.pause(house.store.advance(pending, "begin"), "lunch")
    assert house.store.finish(paused, PROMOTED, "now", is_by_hand=True).share == 1.0


def test_a_pause_keeps_the_share_and_takes_no_step(house: House) -> None:
    rollout = house.begun()
    paused = house.store.pause(rollout, "lunch")
    assert (paused.state, paused.step, paused.share, paused.is_active) == (PAUSED, 0, 0.05, True)
    assert house.store.pause(paused, "again") == paused
    for move in (house.store.advance, lambda r, why: house.store.finish(r, PROMOTED, why)):
        with pytest.raises(IllegalMove, match="paused at step 1 of 3"):
            move(paused, "in a hurry")
    assert house.store.hold(paused, "too few").state is PAUSED
    resumed = house.store.resume(paused, "back")
    assert (resumed.state, resumed.step, resumed.step_since) == (RUNNING, 0, rollout.step_since)
    assert house.store.resume(resumed, "again") == resumed


def test_what_is_not_under_way_is_neither_paused_nor_resumed(house: House) -> None:
    pending = house.store.start("late", 1, 2, PLAN)
    with pytest.raises(IllegalMove, match="cannot be paused"):
        house.store.pause(pending, "lunch")
    done = house.store.finish(pending, ROLLED_BACK, "stop")
    for move in (house.store.pause, house.store.resume):
        with pytest.raises(IllegalMove):
            move(done, "why not")


def test_a_paused_rollout_can_be_rolled_back(house: House) -> None:
    paused = house.store.pause(house.begun(), "lunch")
    assert house.store.finish(paused, ROLLED_BACK, "harm").state is ROLLED_BACK


def test_a_bandit_shifts_to_any_step_and_is_promoted_from_each(house: House) -> None:
    rollout = house.begun(Bandit())
    assert rollout.share == 0.5
    for step, share in ((0, 0.05), (90, 0.95), (12, 0.17)):
        rollout = house.store.shift(rollout, step, "outcomes")
        assert (rollout.share, house.store.get(rollout.id)) == (share, rollout)
    for step in (-1, 91):
        with pytest.raises(IllegalMove, match="cannot be shifted to step"):
            house.store.shift(rollout, step, "outcomes")
    with pytest.raises(IllegalMove):
        house.store.shift(house.store.pause(rollout, "lunch"), 3, "outcomes")
    resumed = house.store.resume(house.store.get(rollout.id), "back")
    assert house.store.finish(resumed, PROMOTED, "better").state is PROMOTED


def test_only_a_plan_that_moves_freely_shifts(house: House) -> None:
    with pytest.raises(IllegalMove, match="cannot be shifted"):
        house.store.shift(house.begun(), 2, "in a hurry")


def test_blue_green_stands_by_with_nothing_before_it_takes_all(house: House) -> None:
    rollout = house.begun(BlueGreen())
    assert rollout.share == 0.0
    assert house.store.advance(rollout, "validated").share == 1.0


def test_a_finished_rollout_does_not_move(house: House) -> None:
    done = house.store.finish(house.store.start("late", 1, 2, PLAN), ROLLED_BACK, "stop")
    with pytest.raises(IllegalMove):
        house.store.advance(done, "again")
    with pytest.raises(IllegalMove):
        house.store.hold(done, "again")
    for by_hand in (False, True):
        with pytest.raises(IllegalMove):
            house.store.finish(done, PROMOTED, "again", is_by_hand=by_hand)


def test_finishing_twice_the_same_way_is_one_finish(house: House) -> None:
    rollout = house.store.start("late", 1, 2, PLAN)
    done = house.store.finish(rollout, ROLLED_BACK, "stop")
    assert house.store.finish(rollout, ROLLED_BACK, "stop") == done
    assert house.recorded() == ["rollout.start", "rollout.finish"]


def test_a_rollout_that_another_process_moved_is_not_moved_twice(house: House) -> None:
    stale = house.store.start("late", 1, 2, PLAN)
    moved = house.open().advance(stale, "begin")
    with pytest.raises(RolloutMoved, match="read it again"):
        house.store.advance(stale, "begin")
    assert house.store.active("late") == moved


def test_who_decided_on_what_was_paused_meanwhile_is_told(house: House) -> None:
    rollout = house.begun()
    house.open().pause(rollout, "lunch")
    for act in (
        lambda: house.store.advance(rollout, "no harm"),
        lambda: house.store.hold(rollout, "too few"),
        lambda: house.store.finish(rollout, PROMOTED, "now", is_by_hand=True),
    ):
        with pytest.raises(RolloutMoved, match="is not running at step 1 of 3 any more"):
            act()


def test_a_promotion_and_a_rollback_at_once_end_it_one_way(house: House) -> None:
    rollout = house.begun()
    house.open().finish(rollout, PROMOTED, "now", is_by_hand=True)
    with pytest.raises(RolloutMoved):
        house.store.finish(rollout, ROLLED_BACK, "worse")
    assert house.store.get(rollout.id).state is PROMOTED


def at_once(*acts: object) -> list[object]:
    """What each act gave or raised, all begun at one moment in threads of their own."""
    gate, found = threading.Barrier(len(acts)), [None] * len(acts)

    def run(place: int) -> None:
        gate.wait()
        try:
            found[place] = acts[place]()
        except EsteiraError as refused:
            found[place] = refused

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(acts))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return found


def test_of_two_operators_who_start_at_once_one_starts(house: House) -> None:
    one, other = house.open(), house.open()
    found = at_once(lambda: one.start("late", 1, 2, PLAN), lambda: other.start("late", 1, 3, PLAN))
    assert len([each for each in found if isinstance(each, Rollout)]) == 1
    assert len([each for each in found if isinstance(each, RolloutUnderWay)]) == 1
    assert len(house.store.history("late")) == 1


@pytest.mark.parametrize("turn", range(3))
def test_of_two_operators_who_move_at_once_one_moves(house: House, turn: int) -> None:
    rollout, (one, other) = house.begun(), (house.open(), house.open())
    second = (
        lambda: other.advance(rollout, "no harm"),
        lambda: other.pause(rollout, "lunch"),
        lambda: other.finish(rollout, ROLLED_BACK, "worse"),
    )[turn]
    found = at_once(lambda: one.advance(rollout, "no harm"), second)
    assert sorted(type(each).__name__ for each in found) == ["Rollout", "RolloutMoved"]
    assert len(house.store.changes(rollout.id)) == 3


def test_a_hold_keeps_what_was_seen_and_is_no_audit_record(house: House) -> None:
    rollout = house.begun()
    house.clock.advance(DAY)
    held = house.store.hold(rollout, "too few labels", {"rows": 7})
    assert (held.step, held.step_since, held.evidence) == (0, START, {"rows": 7})
    assert house.recorded() == ["rollout.start", "rollout.advance"]
    changes = house.store.changes(rollout.id)
    assert [change.reason for change in changes] == ["", "begin", "too few labels"]
    assert (changes[-1].at, changes[-1].evidence) == (START + DAY, {"rows": 7})


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
    rollout = house.begun()
    for act in (
        lambda: killed.advance(rollout, "no harm"),
        lambda: killed.pause(rollout, "lunch"),
        lambda: killed.finish(rollout, ROLLED_BACK, "stop"),
    ):
        with pytest.raises(KeyboardInterrupt):
            act()
    assert house.open().active("late") == rollout
    assert house.store.advance(rollout, "no harm").step == 1


def test_an_unknown_rollout_is_not_found(house: House) -> None:
    with pytest.raises(NotFound, match="rollout 'x'"):
        house.store.get("x")
