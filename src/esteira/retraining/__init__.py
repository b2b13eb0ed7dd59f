"""From an alert to a verdict: when a new candidate is trained, and what it must pass before it serves."""

from __future__ import annotations

from esteira.retraining.attempts import Attempt, AttemptState, Candidate, LoopEvent, Outcome
from esteira.retraining.loop import Acts, GateAnswer, RetrainLoop
from esteira.retraining.policy import Decision, RetrainPolicy, decide

__all__ = [
    "Acts",
    "Attempt",
    "AttemptState",
    "Candidate",
    "Decision",
    "GateAnswer",
    "LoopEvent",
    "Outcome",
    "RetrainLoop",
    "RetrainPolicy",
    "decide",
]
