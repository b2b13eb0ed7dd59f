"""A canary that widens step by step while the evidence allows it: its plan, its state, its analysis."""

from __future__ import annotations

from esteira.serving.rollout.analysis import Evidence, Health, Verdict, analyse, paired_losses
from esteira.serving.rollout.plan import CanaryPlan
from esteira.serving.rollout.sequences import Interval
from esteira.serving.rollout.state import Rollout, RolloutChange, RolloutState, RolloutStore

__all__ = [
    "CanaryPlan",
    "Evidence",
    "Health",
    "Interval",
    "Rollout",
    "RolloutChange",
    "RolloutState",
    "RolloutStore",
    "Verdict",
    "analyse",
    "paired_losses",
]
