"""What each strategy does to the routes, and what a person may do to each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import active, champion, problems, shares

from esteira.base.errors import NotFound
from esteira.project.rollouts.rolling import (
    abort,
    go_on,
    pause,
    promote_by_hand,
    shift,
    start_rollout,
    stop,
    widen,
)
from esteira.project.verifying import verify
from esteira.serving.rollout.state import Rollout, RolloutMoved, RolloutState
from esteira.serving.rollout.strategies import Bandit, BlueGreen, Canary
from esteira.serving.rollout.strategies import Shadow as ShadowPlan

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.project.station import Station


def begun(station: Station) -> Rollout:
    start_rollout(station, 2, "by hand")
    return active(station)


def split(station: Station) -> list[tuple[str, int, float]]:
    routes = station.routes.get("pump")
    assert routes is not None
    return [(each.name, each.version, each.share) for each in routes.arms]


def test_blue_green_loads_first_then_switches_at_once_and_the_champion_stands_by(two: Station) -> None:
    start_rollout(two, 2, "by hand", BlueGreen())
    assert split(two) == [("champion", 1, 1.0), ("challenger", 2, 0.0)]
    widen(two, active(two), "validated")
    assert split(two) == [("champion", 1, 0.0), ("challenger", 2, 1.0)]
    abort(two, "bad scores")
    assert split(two) == [("champion", 1, 1.0)]
    assert champion(two) == 1


def test_a_shadow_takes_no_traffic_and_promoted_by_hand_takes_all(two: Station) -> None:
    start_rollout(two, 2, "by hand", ShadowPlan(mirror=0.5))
    routes = two.routes.get("pump")
    assert routes is not None
    assert split(two) == [("champion", 1, 1.0)]
    assert [(each.version, each.share) for each in routes.shadows] == [(2, 0.5)]
    promote_by_hand(two, "looks fine")
    after = two.routes.get("pump")
    assert after is not None
    assert (split(two), after.shadows) == ([("champion", 2, 1.0)], ())
    assert champion(two) == 2


def test_a_shadow_that_is_aborted_leaves_no_trace_in_the_routes(two: Station) -> None:
    before = start_rollout(two, 2, "by hand", ShadowPlan())
    assert before.shadows
    abort(two, "enough seen")
    after = two.routes.get("pump")
    assert after is not None
    assert (after.arms, after.shadows) == (before.arms, ())


def test_a_rollout_may_be_of_some_segments_alone(two: Station) -> None:
    routes = start_rollout(two, 2, "by hand", Canary((0.5, 1.0), segments=("beta",)))
    assert routes.segments == ("beta",)
    abort(two, "enough seen")
    after = two.routes.get("pump")
    assert after is not None
    assert after.segments == ()


def test_a_bandit_moves_its_share_both_ways(two: Station) -> None:
    start_rollout(two, 2, "by hand", Bandit(floor=0.1))
    assert active(two).share == 0.5
    for share in (0.9, 0.2):
        shift(two, active(two), Bandit(floor=0.1).step_of(share), "outcomes")
        assert active(two).share == share
        assert {name: part for name, _, part in split(two)}["challenger"] == share


def test_a_rollout_that_is_paused_is_not_widened_and_goes_on_where_it_stood(two: Station) -> None:
    rollout = begun(two)
    paused = pause(two, "on call is asleep")
    assert paused.state is RolloutState.PAUSED
    widen(two, rollout, "no harm")
    assert shares(two) == {1: 0.75, 2: 0.25}
    assert go_on(two, "awake again").state is RolloutState.RUNNING
    widen(two, active(two), "no harm")
    assert shares(two) == {1: 0.0, 2: 1.0}


def test_harm_ends_a_rollout_that_is_paused(two: Station) -> None:
    rollout = begun(two)
    pause(two, "on call is asleep")
    assert stop(two, rollout, "errors").state is RolloutState.ROLLED_BACK
    assert shares(two) == {1: 1.0}


def test_a_person_promotes_from_any_step_and_the_reason_is_kept(two: Station) -> None:
    begun(two)
    finished = promote_by_hand(two, "the board wants it")
    assert (finished.state, finished.step, finished.reason) == (
        RolloutState.PROMOTED,
        0,
        "the board wants it",
    )
    assert (shares(two), champion(two)) == ({2: 1.0}, 2)
    assert problems(verify(two)) == []


@pytest.mark.parametrize("act", [pause, go_on, promote_by_hand, abort])
def test_without_a_rollout_there_is_nothing_to_move(
    two: Station, act: Callable[[Station, str], object]
) -> None:
    with pytest.raises(NotFound, match="esteira rollout start VERSION"):
        act(two, "by hand")


def test_an_act_that_was_decided_on_another_step_changes_nothing(two: Station) -> None:
    seen = begun(two)
    widen(two, seen, "no harm")
    for act in (pause, promote_by_hand, abort):
        with pytest.raises(RolloutMoved, match="read it again"):
            act(two, "as I saw it", seen)
    assert active(two).is_at_last_step
    assert pause(two, "as I see it", active(two)).state is RolloutState.PAUSED
