"""From rows to a judged model: splits in time, trainers, metrics with intervals, gates."""

from esteira.training.evaluation import Evaluation, Measured, evaluate
from esteira.training.examples import UnusableTarget
from esteira.training.gates import Gate, GateResult, NotPaired, judge
from esteira.training.split import time_split
from esteira.training.trainers import fit, open_trainer
from esteira.training.trainers.port import Trainer

__all__ = [
    "Evaluation",
    "Gate",
    "GateResult",
    "Measured",
    "NotPaired",
    "Trainer",
    "UnusableTarget",
    "evaluate",
    "fit",
    "judge",
    "open_trainer",
    "time_split",
]
