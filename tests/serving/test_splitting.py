from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.worlds import World, deployment, tree_model

from esteira.serving.routes import Arm, Routes, choose
from esteira.serving.splitting import ARM_HEADER, OUTSIDE, PINNED, SEGMENT_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from esteira.serving.gateway import Asked

KEYS = [f"k{n}" for n in range(40)]
INPUTS = [
    {"name": "miles", "shape": [1], "datatype": "FP64", "data": [100]},
    {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["UA"]},
]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def deploy(world: World, *shares: float, segments: tuple[str, ...] = ()) -> Routes:
    models = [tree_model(-1.0 - n) for n in range(len(shares))]
    made = deployment(world.artifacts, *models, shares=shares)
    routes = world.routes.set(Routes(made.model, made.arms, made.salt, segments=segments))
    world.live.refresh()
    return routes


def ask(world: World, key: str = "", **headers: str) -> Asked:
    names = {"arm": ARM_HEADER, "segment": SEGMENT_HEADER}
    return world.gateway.ask("late", "", key, headers={names[name]: said for name, said in headers.items()})


class Strict(dict[str, str]):
    """Headers of a request whose split is not to be asked."""

    def get(self, name: str, *_: object) -> Any:
        raise AssertionError(f"{name} was read")


def test_an_arm_that_is_named_answers_whatever_the_split_says_and_is_logged_as_pinned(world: World) -> None:
    deploy(world, 1.0, 0.0)
    for name, version in (("champion", "1"), ("challenger", "2")):
        asked = ask(world, arm=name)
        assert (asked.loaded.version, asked.arm) == (version, PINNED)
    assert (ask(world).loaded.version, ask(world).arm) == ("1", "champion")


def test_an_arm_that_is_not_there_is_ignored_and_the_split_decides(world: World) -> None:
    routes = deploy(world, 0.5, 0.5)
    for key in KEYS:
        assert ask(world, key, arm="missing").arm == choose(routes, key).name


def test_only_requests_of_the_segments_are_split(world: World) -> None:
    routes = deploy(world, 0.5, 0.5, segments=("beta", "staff"))
    assert {choose(routes, key).name for key in KEYS} == {"champion", "challenger"}
    for key in KEYS:
        assert ask(world, key, segment="beta").arm == choose(routes, key).name
        for outside in (ask(world, key), ask(world, key, segment="all")):
            assert (outside.loaded.version, outside.arm) == ("1", OUTSIDE)
    assert ask(world, arm="challenger").loaded.version == "2"  # by its name from anywhere


def test_a_version_in_the_path_comes_before_the_headers(world: World) -> None:
    deploy(world, 0.5, 0.5)
    asked = world.gateway.ask("late", version="1", headers={ARM_HEADER: "challenger"})
    assert (asked.loaded.version, asked.arm) == ("1", PINNED)


def test_where_there_is_one_arm_no_header_is_read(world: World) -> None:
    for segments in ((), ("beta",)):
        deploy(world, 1.0, segments=segments)
        asked = world.gateway.ask("late", headers=Strict())
        assert (asked.loaded.version, asked.arm) == ("1", "champion")


@pytest.mark.parametrize(
    ("headers", "arm"), [({ARM_HEADER: "challenger"}, PINNED), ({SEGMENT_HEADER: "other"}, OUTSIDE)]
)
def test_both_protocols_over_http_follow_the_headers(
    world: World, headers: Mapping[str, str], arm: str
) -> None:
    deploy(world, 0.5, 0.5, segments=("beta",))
    body = json.dumps({"inputs": INPUTS}).encode()
    answer = json.loads(world.post("/v2/models/late/infer", body, headers).body)
    version = "2" if arm == PINNED else "1"
    assert (answer["model_version"], answer["parameters"]["arm"]) == (version, arm)
    response = world.post("/invocations", b'{"inputs":{"miles":1,"carrier":"UA"}}', headers)
    said = dict(response.headers)
    assert (said["x-esteira-version"], said["x-esteira-arm"]) == (version, arm)
    assert {each.arm for each in world.predictions.records} == {arm}


def test_what_is_named_comes_with_grpc_too(world: World) -> None:
    pytest.importorskip("grpc")
    import numpy as np
    from tests.serving.rpc.callers import Asking, inference

    deploy(world, 0.5, 0.5, segments=("beta",))
    row = {"miles": np.array([100.0]), "carrier": np.array(["UA"], object)}
    asking = Asking(world)
    for headers, version, arm in (
        ({ARM_HEADER: "challenger"}, "2", PINNED),
        ({SEGMENT_HEADER: "other"}, "1", OUTSIDE),
    ):
        answer = asking.ask("ModelInfer", inference(row), headers)
        assert (answer.model_version, answer.parameters["arm"].string_param) == (version, arm)
    routes = world.live.models["late"].routes
    for key in KEYS[:10]:
        headers = {SEGMENT_HEADER: "beta", "x-esteira-key": key}
        answer = asking.ask("ModelInfer", inference(row), headers)
        assert answer.parameters["arm"].string_param == choose(routes, key).name


def test_an_arm_with_a_share_of_all_still_lets_the_other_be_named(world: World) -> None:
    made = deployment(world.artifacts, tree_model(-1.0), tree_model(-2.0), shares=(0.0, 1.0))
    world.routes.set(made)
    world.live.refresh()
    assert [arm.share for arm in made.arms if isinstance(arm, Arm)] == [0.0, 1.0]
    assert {ask(world, key).arm for key in KEYS} == {"challenger"}
    assert ask(world, arm="champion").loaded.version == "1"
