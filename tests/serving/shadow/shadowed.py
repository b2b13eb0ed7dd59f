"""What the tests of shadows share: routes with a shadow, and what a gateway says and keeps of it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from tests.serving.test_process import until
from tests.serving.worlds import deployment, tree_model

from esteira.monitoring.failure_log import SHADOW_FAILURES, failures_table
from esteira.monitoring.prediction_log import PREDICTIONS, SHADOWS, predictions_table
from esteira.monitoring.segments import folder_of, read_segments
from esteira.pipelines.artifacts import ArtifactStore
from esteira.serving.load.processes import family
from esteira.serving.routes import Routes, RouteStore, Shadow

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.serving.test_process import Caller

    from esteira.base.settings import Settings
    from esteira.registry.bundle import Model

_TABLES: dict[str, Callable[[Any], Any]] = {
    PREDICTIONS: predictions_table,
    SHADOWS: predictions_table,
    SHADOW_FAILURES: failures_table,
}


def shadow(settings: Settings, *models: Model, share: float = 1.0, segments: tuple[str, ...] = ()) -> Routes:
    """Routes to a champion, with the other models as shadows: next, next3… of the versions 2, 3…"""
    artifacts = ArtifactStore(settings.store("artifacts"))
    routes = deployment(artifacts, models[0])
    shadows = tuple(
        Shadow("next" if version == 2 else f"next{version}", version, artifacts.put(model).digest, share)
        for version, model in enumerate(models[1:], start=2)
    )
    found = Routes(routes.model, routes.arms, routes.salt, shadows=shadows, segments=segments)
    return RouteStore(settings.store("state")).set(found)


def logged(settings: Settings, kind: str) -> list[dict[str, Any]]:
    """What is on disk of a kind, oldest first."""
    payloads, _ = read_segments(folder_of(settings.store("predictions")), kind, {})
    rows: list[dict[str, Any]] = _TABLES[kind](payloads).to_pylist()
    return rows


def counted(caller: Caller, version: str = "2") -> dict[str, float]:
    """What the gateway counts of a shadow: mirrored, and each outcome."""
    text = caller.ask("GET", "/metrics")[1]
    found: dict[str, float] = {}
    for name, labels, value in re.findall(r"^esteira_shadow_(\w+_total){(.*)} (\S+)$", text, re.MULTILINE):
        said = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if said["version"] == version:
            found[said.get("outcome", name.removesuffix("_total"))] = float(value)
    return found


def settled(caller: Caller, seconds: float = 20.0) -> dict[str, float]:
    """The counts once each mirrored request has its outcome."""

    def is_settled() -> bool:
        counts = counted(caller)
        is_known = counts.get("mirrored", 0) == sum(counts.values()) - counts.get("mirrored", 0)
        return is_known and "esteira_shadow_queue_requests 0" in caller.ask("GET", "/metrics")[1]

    def stays_settled() -> bool:
        """Two looks, for what was just answered is counted at the next beat."""
        time.sleep(0.1)
        before = counted(caller)
        time.sleep(0.1)
        return is_settled() and counted(caller) == before

    assert until(stays_settled, seconds), counted(caller)
    return counted(caller)


def is_held(caller: Caller) -> bool:
    """Whether the shadow can be asked."""
    return (
        re.search(r"^esteira_shadow_info{.*} 1", caller.ask("GET", "/metrics")[1], re.MULTILINE) is not None
    )


def process_of(gateway_pid: int) -> int:
    """The process of the shadows of the only worker."""
    found: list[int] = []

    def is_there() -> bool:
        found[:] = family(gateway_pid)
        return len(found) == 3

    assert until(is_there)
    return found[2]


def tree(low: float) -> Model:
    """A model whose score tells it from others."""
    return tree_model(low)
