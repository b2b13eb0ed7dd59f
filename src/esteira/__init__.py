"""esteira: a whole MLOps platform that starts on a laptop with one command.

The names below are the face that project files import; each loads its room only when asked for,
so that `import esteira` costs milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.optional import load

if TYPE_CHECKING:
    from esteira.features.transforms.on_demand import on_demand as on_demand
    from esteira.features.views import FeatureView as FeatureView
    from esteira.pipelines.step import step as step
    from esteira.project.definition import Project as Project
    from esteira.project.definition import Rehearsal as Rehearsal
    from esteira.project.definition import TableSource as TableSource
    from esteira.project.definition import drift as drift
    from esteira.project.definition import performance as performance
    from esteira.registry.bundle import Model as Model
    from esteira.retraining.policy import RetrainPolicy as Retrain
    from esteira.serving.rollout.strategies import ABTest as ABTest
    from esteira.serving.rollout.strategies import Bandit as Bandit
    from esteira.serving.rollout.strategies import BlueGreen as BlueGreen
    from esteira.serving.rollout.strategies import Canary as Canary
    from esteira.serving.rollout.strategies import ChampionChallenger as ChampionChallenger
    from esteira.serving.rollout.strategies import Shadow as Shadow
    from esteira.training.gates import Gate as Gate

__version__ = "0.1.0"

_FACE = {
    "ABTest": "esteira.serving.rollout.strategies:ABTest",
    "Bandit": "esteira.serving.rollout.strategies:Bandit",
    "BlueGreen": "esteira.serving.rollout.strategies:BlueGreen",
    "Canary": "esteira.serving.rollout.strategies:Canary",
    "ChampionChallenger": "esteira.serving.rollout.strategies:ChampionChallenger",
    "FeatureView": "esteira.features.views:FeatureView",
    "Gate": "esteira.training.gates:Gate",
    "Model": "esteira.registry.bundle:Model",
    "Project": "esteira.project.definition:Project",
    "Rehearsal": "esteira.project.definition:Rehearsal",
    "Retrain": "esteira.retraining.policy:RetrainPolicy",
    "Shadow": "esteira.serving.rollout.strategies:Shadow",
    "TableSource": "esteira.project.definition:TableSource",
    "drift": "esteira.project.definition:drift",
    "on_demand": "esteira.features.transforms.on_demand:on_demand",
    "performance": "esteira.project.definition:performance",
    "step": "esteira.pipelines.step:step",
}

__all__ = [
    "ABTest",
    "Bandit",
    "BlueGreen",
    "Canary",
    "ChampionChallenger",
    "FeatureView",
    "Gate",
    "Model",
    "Project",
    "Rehearsal",
    "Retrain",
    "Shadow",
    "TableSource",
    "__version__",
    "drift",
    "on_demand",
    "performance",
    "step",
]


def __getattr__(name: str) -> object:
    if name not in _FACE:
        raise AttributeError(f"module 'esteira' has no attribute {name!r}")
    return load(_FACE[name])


def __dir__() -> list[str]:
    return sorted(__all__)
