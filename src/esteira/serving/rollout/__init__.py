"""How a challenger takes over: strategies, where a rollout stands, and what its evidence allows."""

from __future__ import annotations

from esteira.serving.rollout.analysis import analyse
from esteira.serving.rollout.evidence import ArmSeen, Evidence, Split
from esteira.serving.rollout.losses import losses, paired_losses, weighed_outcomes
from esteira.serving.rollout.plan import RolloutPlan
from esteira.serving.rollout.sequences import Interval
from esteira.serving.rollout.state import Rollout, RolloutChange, RolloutState
from esteira.serving.rollout.store import RolloutStore
from esteira.serving.rollout.strategies import (
    ABTest,
    Bandit,
    BlueGreen,
    Canary,
    ChampionChallenger,
    Shadow,
    plan_of,
)
from esteira.serving.rollout.verdict import Verdict

__all__ = [
    "ABTest",
    "ArmSeen",
    "Bandit",
    "BlueGreen",
    "Canary",
    "ChampionChallenger",
    "Evidence",
    "Interval",
    "Rollout",
    "RolloutChange",
    "RolloutPlan",
    "RolloutState",
    "RolloutStore",
    "Shadow",
    "Split",
    "Verdict",
    "analyse",
    "losses",
    "paired_losses",
    "plan_of",
    "weighed_outcomes",
]
