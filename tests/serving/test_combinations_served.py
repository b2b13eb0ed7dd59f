"""Combinations behind a real gateway: no test of one file, but of the way from a plan to the log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.combining.models import line
from tests.serving.foreign import allowed, wild
from tests.serving.test_process import Caller, logged
from tests.serving.worlds import deployment, project, tree_model, tree_score

from esteira.pipelines.artifacts import ArtifactStore
from esteira.registry.bundle import Model
from esteira.registry.columns import Column
from esteira.registry.signature import Signature
from esteira.serving.combining import cascade, fallback
from esteira.serving.process import GatewayProcess
from esteira.serving.routes import RouteStore
from esteira.serving.runtimes.packing import pack_folder

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.settings import Settings

pytestmark = pytest.mark.slow

TOML = '[project]\nname = "late"\n[gateway]\nallow_pyfunc = true\n'
WILD = Signature((Column("a"), Column("b"), Column("c", "category", ("x", "y"))), "late")
HANGS, WORKS = 2, 10  # what the first number of a row asks of that model
FAST, DEEP, SURE = tree_score(-1.0), tree_score(-2.0), tree_score(3.0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two models: a cascade of trees, and a fallback whose first member hangs when it is told to."""
    settings = project(tmp_path / "p", TOML)
    artifacts = ArtifactStore(settings.store("artifacts"))
    routes = RouteStore(settings.store("state"))
    careful = cascade({"fast": tree_model(-1.0), "deep": tree_model(-2.0)}, {"fast": (0.2, 0.5)})
    with allowed():
        remote = Model("pyfunc", WILD, {"model.tar": pack_folder(wild())})
    members = {"remote": remote, "local": line(0.5, "a", optional=False)}
    patient = fallback(members, deadlines_ms={"remote": 1500})
    routes.set(deployment(artifacts, careful, name="late"))
    routes.set(deployment(artifacts, patient, name="patient"))
    return settings


def ask(caller: Caller, model: str, name: str, columns: dict[str, list[Any]]) -> list[float]:
    inputs = [
        {
            "name": column,
            "shape": [len(values)],
            "datatype": "BYTES" if isinstance(values[0], str) else "FP64",
            "data": values,
        }
        for column, values in columns.items()
    ]
    status, answer = caller.ask("POST", f"/v2/models/{model}/infer", {"id": name, "inputs": inputs})
    assert status == 200, answer
    scores: list[float] = answer["outputs"][0]["data"]
    return scores


def wild_row(*asked: float) -> dict[str, list[Any]]:
    return {"a": [*asked], "b": [0] * len(asked), "c": ["x"] * len(asked)}


def test_the_log_says_who_answered_behind_a_cascade_and_a_fallback_whose_member_sleeps(
    settings: Settings,
) -> None:
    flight = {"miles": [100, 600, 200], "carrier": ["UA", "UA", "AA"]}
    with GatewayProcess(settings.root, port=0) as gateway, Caller(gateway.url) as caller:
        assert ask(caller, "late", "one", {"miles": [600], "carrier": ["UA"]}) == [SURE]
        assert ask(caller, "late", "many", flight) == [DEEP, SURE, DEEP]
        assert ask(caller, "patient", "well", wild_row(WORKS)) == [1.0]
        began = time.monotonic()
        for number in range(5):
            assert ask(caller, "patient", f"hung{number}", wild_row(HANGS)) == [1.0]
        assert ask(caller, "patient", "batch", wild_row(WORKS, HANGS)) == [5.0, 1.0]
        assert time.monotonic() - began < 4  # the first waited for the deadline, the others not at all
        assert caller.ask("GET", "/v2/health/ready") == (200, {"ready": True})
    parts = {each["id"]: each["parts"] for each in logged(settings)}
    assert parts["one"] == [SURE, None]
    assert [parts[name] for name in ("many", "many#1", "many#2")] == [
        [FAST, DEEP],
        [SURE, None],
        [FAST, DEEP],
    ]
    assert parts["well"] == [1.0, None]
    assert [parts[f"hung{number}"] for number in range(5)] == [[None, 1.0]] * 5
    assert [parts[name] for name in ("batch", "batch#1")] == [[None, 5.0], [None, 1.0]]
