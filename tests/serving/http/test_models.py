from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.worlds import VIEWED, World, deployment, tree_model

from esteira import __version__

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def get(world: World, path: str) -> tuple[int, Any]:
    response = world.get(path)
    return response.status, json.loads(response.body)


def break_late(world: World) -> None:
    broken = deployment(world.artifacts, tree_model(-3.0))
    (world.artifacts.folder(broken.arms[0].digest) / "model.txt").write_bytes(b"")
    world.routes.set(broken)
    world.live.refresh()


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_server_names_itself(world: World, path: str) -> None:
    assert get(world, path) == (
        200,
        {"name": "esteira", "version": __version__, "extensions": ["binary_tensor_data", "model_repository"]},
    )


def test_an_empty_gateway_is_live_but_not_ready(world: World) -> None:
    assert get(world, "/v2/health/live") == (200, {"live": True})
    assert get(world, "/v2/health/ready") == (503, {"ready": False})
    assert world.get("/ping").status == world.get("/health").status == 404


def test_a_gateway_with_a_model_is_ready(world: World) -> None:
    world.deploy(tree_model(-1.0))
    assert get(world, "/v2/health/ready") == (200, {"ready": True})
    assert (world.get("/ping").status, world.get("/health").body) == (200, b"\n")
    assert get(world, "/v2/models/late/ready") == (200, {"name": "late", "ready": True})
    assert get(world, "/v2/models/late/versions/1/ready")[0] == 200
    assert world.get("/version").body == __version__.encode()


def test_a_model_tells_its_tensors_and_versions(world: World) -> None:
    world.deploy(tree_model(-1.0), tree_model(-2.0, VIEWED), shares=(0.9, 0.1))
    status, document = get(world, "/v2/models/late")
    assert status == 200
    assert document == {
        "name": "late",
        "versions": ["1", "2"],
        "platform": "lightgbm",
        "inputs": [
            {"name": "miles", "datatype": "FP64", "shape": [-1]},
            {"name": "carrier", "datatype": "BYTES", "shape": [-1]},
            {"name": "gust", "datatype": "FP64", "shape": [-1]},
        ],
        "outputs": [{"name": "score", "datatype": "FP64", "shape": [-1]}],
        "parameters": {"route_revision": 1},
    }


def test_a_version_tells_its_own_tensors_with_the_keys_of_its_features(world: World) -> None:
    world.deploy(tree_model(-1.0), tree_model(-2.0, VIEWED), shares=(0.9, 0.1))
    _, document = get(world, "/v2/models/late/versions/2")
    assert [(each["name"], each["datatype"]) for each in document["inputs"]] == [
        ("miles", "FP64"),
        ("origin", "BYTES"),
    ]


def test_routes_that_did_not_load_are_told_while_the_old_serve(world: World) -> None:
    world.deploy(tree_model(-1.0))
    break_late(world)
    status, document = get(world, "/v2/models/late")
    assert status == 200
    assert document["parameters"]["route_revision"] == 1
    assert document["parameters"]["failed_revision"] == 2
    assert "corrupt" in document["parameters"]["failed_reason"]
    assert b'esteira_route_failures_total{model="late"} 1' in world.get("/metrics").body


@pytest.mark.parametrize("path", ["", "/ready", "/versions/1", "/versions/1/ready"])
def test_a_model_that_never_loaded_is_unavailable(world: World, path: str) -> None:
    break_late(world)
    status, document = get(world, f"/v2/models/late{path}")
    assert (status, "corrupt" in document["error"]) == (503, True)


@pytest.mark.parametrize("path", ["/early", "/early/ready", "/late/versions/9", "/late/versions/9/ready"])
def test_what_does_not_serve_is_not_found(world: World, path: str) -> None:
    world.deploy(tree_model(-1.0))
    status, document = get(world, f"/v2/models{path}")
    assert (status, "served: " in document["error"]) == (404, True)
