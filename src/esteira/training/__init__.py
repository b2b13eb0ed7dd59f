"""From rows to a judged model: splits in time, trainers, metrics with intervals, gates."""

from esteira.training.encodings import (
    Encoding,
    Keep,
    OneHot,
    Ordinal,
    Robust,
    Standard,
    Target,
    fit_encodings,
)
from esteira.training.evaluation import Evaluation, Measured, evaluate
from esteira.training.examples import UnusableTarget
from esteira.training.gates import Gate, GateResult, NotPaired, judge
from esteira.training.selection import SelectionReport, Verdict, select_features
from esteira.training.selectors.mutual_information import MutualInformation
from esteira.training.selectors.permutation import Permutation
from esteira.training.selectors.port import ColumnScore, Selector
from esteira.training.selectors.variance import Variance
from esteira.training.split import time_split
from esteira.training.trainers import fit, open_trainer
from esteira.training.trainers.port import Trainer

__all__ = [
    "ColumnScore",
    "Encoding",
    "Evaluation",
    "Gate",
    "GateResult",
    "Keep",
    "Measured",
    "MutualInformation",
    "NotPaired",
    "OneHot",
    "Ordinal",
    "Permutation",
    "Robust",
    "SelectionReport",
    "Selector",
    "Standard",
    "Target",
    "Trainer",
    "UnusableTarget",
    "Variance",
    "Verdict",
    "evaluate",
    "fit",
    "fit_encodings",
    "judge",
    "open_trainer",
    "select_features",
    "time_split",
]
