from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.serving.rollout.houses import DAY, PAUSED, PLAN, PROMOTED, ROLLED_BACK, RUNNING, House

from esteira.base.clock import SimulatedClock
from esteira.serving.rollout.state import IllegalMove, Rollout, RolloutState
from esteira.serving.rollout.strategies import Bandit, BlueGreen

if TYPE_CHECKING:
    import pytest

    from esteira.serving.rollout.plan import RolloutPlan

MOVES = st.sampled_from(
    [
        "advance",
        "hold",
        "pause",
        "resume",
        "shift",
        "promote",
        "by hand",
        "roll back",
        "reopen",
        "start",
        "back",
    ]
)
PLANS = st.sampled_from([PLAN, Bandit(), BlueGreen()])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(MOVES, max_size=16), plan=PLANS)
def test_whatever_is_tried_only_legal_paths_are_taken(
    moves: list[str], plan: RolloutPlan, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("house")
    house = House(f"sqlite:{folder}/state.db", folder)
    rollout = house.store.start("late", 1, 2, plan)
    for move in moves:
        rollout = attempted(house, rollout, move)
        assert house.store.get(rollout.id) == rollout
        assert 0 <= rollout.share <= 1
        assert (house.store.active("late") is not None) == rollout.is_active
    path = [(change.state, change.step) for change in house.store.changes(rollout.id)]
    assert path[0] == (RolloutState.PENDING, -1)
    for before, after in pairwise(path):
        assert is_legal(before, after, plan), (before, after)
    if path[-1][0] is PROMOTED and "by hand" not in moves:
        assert path[-2][0] is RUNNING
        assert plan.moves_freely or path[-2][1] == plan.steps - 1


def is_legal(before: tuple[RolloutState, int], after: tuple[RolloutState, int], plan: RolloutPlan) -> bool:
    (state, step), (following, to) = before, after
    if state is RolloutState.PENDING and following is RUNNING:
        return to == plan.first_step
    if (state, following) == (RUNNING, RUNNING):
        return to in (step, step + 1) or plan.moves_freely
    may_follow = {
        RolloutState.PENDING: {RolloutState.PENDING, ROLLED_BACK},
        RUNNING: {PAUSED, PROMOTED, ROLLED_BACK},
        PAUSED: {PAUSED, RUNNING, PROMOTED, ROLLED_BACK},
    }
    return to == step and following in may_follow.get(state, set())


def attempted(house: House, rollout: Rollout, move: str) -> Rollout:
    store = house.store
    acts = {
        "advance": lambda: store.advance(rollout, move),
        "hold": lambda: store.hold(rollout, move),
        "pause": lambda: store.pause(rollout, move),
        "resume": lambda: store.resume(rollout, move),
        "shift": lambda: store.shift(rollout, len(move) * rollout.plan.steps // 9, move),
        "promote": lambda: store.finish(rollout, PROMOTED, move),
        "by hand": lambda: store.finish(rollout, PROMOTED, move, is_by_hand=True),
        "roll back": lambda: store.finish(rollout, ROLLED_BACK, move),
    }
    if move == "start" and rollout.is_active:
        return store.start("late", 1, 2, rollout.plan)
    if move == "back":  # the clock of another machine
        house.clock = SimulatedClock(start=house.clock.now() - DAY)
    if move in acts:
        try:
            return acts[move]()
        except IllegalMove:
            return rollout
    house.store = house.open()
    return house.store.get(rollout.id)
