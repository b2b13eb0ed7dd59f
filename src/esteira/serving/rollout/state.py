"""Where a rollout stands, and what it may do next.

pending → running at step 0, 1, … ⇄ paused → promoted (from the last step, or by hand from any)
     └──────────┴─────────────────────────→ rolled back
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, EsteiraError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from esteira.serving.rollout.plan import RolloutPlan


class RolloutState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"


class IllegalMove(BadInput):
    """A move that the state of the rollout does not allow."""

    def __init__(self, rollout: Rollout, move: str) -> None:
        super().__init__(
            f"rollout {rollout.id} is {rollout.standing} and cannot be {move}; see: esteira status"
        )
        self.rollout, self.move = rollout, move


class RolloutUnderWay(BadInput):
    """A model has one rollout at a time."""

    def __init__(self, rollout: Rollout) -> None:
        super().__init__(
            f"version {rollout.challenger_version} of {rollout.model} is being rolled out already"
            f" ({rollout.standing}); wait for its verdict, or stop it with: esteira rollback"
        )
        self.rollout = rollout


class RolloutMoved(EsteiraError):
    """Another process moved the rollout first."""

    def __init__(self, rollout: Rollout) -> None:
        super().__init__(f"rollout {rollout.id} is not {rollout.standing} any more; read it again")
        self.rollout = rollout


@dataclass(frozen=True, slots=True)
class Rollout:
    """A challenger on its way into the traffic of a model."""

    id: str
    model: str
    champion_version: int
    challenger_version: int
    plan: RolloutPlan
    step: int  # -1 while pending
    state: RolloutState
    started_at: datetime
    step_since: datetime
    evidence: Mapping[str, object] = field(default_factory=dict)  # of the newest verdict, JSON values
    reason: str = ""  # of the newest change

    @property
    def share(self) -> float:
        """The part of the traffic that the challenger should have now: what routes are brought to."""
        if self.state is RolloutState.PROMOTED:
            return 1.0
        return self.plan.ladder[self.step] if self.has_begun else 0.0

    @property
    def is_active(self) -> bool:
        return self.state is RolloutState.PENDING or self.has_begun

    @property
    def has_begun(self) -> bool:
        """Whether the challenger stands at a step."""
        return self.state in (RolloutState.RUNNING, RolloutState.PAUSED)

    @property
    def is_at_last_step(self) -> bool:
        """Whether it may be promoted on its evidence."""
        plan = self.plan
        return self.state is RolloutState.RUNNING and (plan.moves_freely or self.step == plan.steps - 1)

    @property
    def standing(self) -> str:
        """State and step in words."""
        if not self.has_begun:
            return self.state.value
        if self.plan.moves_freely:
            return f"{self.state} with a share of {self.share:.0%}"
        return f"{self.state} at step {self.step + 1} of {self.plan.steps}"


@dataclass(frozen=True, slots=True)
class RolloutChange:
    """One move of a rollout, or a look that kept it where it was."""

    rollout: str
    at: datetime
    state: RolloutState
    step: int
    reason: str
    evidence: Mapping[str, object]
