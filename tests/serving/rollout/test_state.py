from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import BadInput
from esteira.serving.rollout.state import IllegalMove, Rollout, RolloutMoved, RolloutState, RolloutUnderWay
from esteira.serving.rollout.strategies import Bandit, Canary, Shadow

if TYPE_CHECKING:
    from esteira.serving.rollout.plan import RolloutPlan

START = datetime(2013, 6, 1, tzinfo=UTC)


def rollout(state: RolloutState, step: int = 0, plan: RolloutPlan | None = None) -> Rollout:
    return Rollout("r", "late", 1, 2, plan or Canary((0.05, 1.0)), step, state, START, START)


@pytest.mark.parametrize(
    ("state", "step", "share", "is_active", "standing"),
    [
        (RolloutState.PENDING, -1, 0.0, True, "pending"),
        (RolloutState.RUNNING, 0, 0.05, True, "running at step 1 of 2"),
        (RolloutState.PAUSED, 1, 1.0, True, "paused at step 2 of 2"),
        (RolloutState.PROMOTED, 0, 1.0, False, "promoted"),
        (RolloutState.ROLLED_BACK, 1, 0.0, False, "rolled back"),
    ],
)
def test_a_state_says_share_and_standing(
    state: RolloutState, step: int, share: float, is_active: bool, standing: str
) -> None:
    found = rollout(state, step)
    assert (found.share, found.is_active, found.standing) == (share, is_active, standing)
    assert found.has_begun == (state in (RolloutState.RUNNING, RolloutState.PAUSED))


def test_the_last_step_counts_only_while_it_runs() -> None:
    assert rollout(RolloutState.RUNNING, 1).is_at_last_step
    for other in (rollout(RolloutState.RUNNING, 0), rollout(RolloutState.PAUSED, 1)):
        assert not other.is_at_last_step
    assert not rollout(RolloutState.PROMOTED, 1).is_at_last_step


def test_every_step_of_a_bandit_may_be_its_last() -> None:
    bandit = rollout(RolloutState.RUNNING, 12, Bandit())
    assert bandit.is_at_last_step
    assert bandit.standing == "running with a share of 17%"
    assert replace(bandit, state=RolloutState.PAUSED).standing == "paused with a share of 17%"


def test_a_shadow_has_no_share_before_it_is_promoted() -> None:
    assert rollout(RolloutState.RUNNING, 0, Shadow()).share == 0.0
    assert rollout(RolloutState.PROMOTED, 0, Shadow()).share == 1.0


def test_the_errors_say_what_stands_and_keep_it() -> None:
    running = rollout(RolloutState.RUNNING)
    illegal = IllegalMove(running, "resumed")
    assert str(illegal) == "rollout r is running at step 1 of 2 and cannot be resumed; see: esteira status"
    assert (illegal.rollout, illegal.move, isinstance(illegal, BadInput)) == (running, "resumed", True)
    assert "stop it with: esteira rollback" in str(RolloutUnderWay(running))
    assert RolloutMoved(running).rollout is running
