from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.serving.http.test_triton_client import doubling
from tests.serving.rpc.callers import Asking, inference, message
from tests.serving.worlds import VIEWED, World, tree_model, tree_score

from esteira.registry.signature import Column, Signature
from esteira.serving.rpc.contents import arrays_of

if TYPE_CHECKING:
    from pathlib import Path

ROW = {"miles": np.array([100.0]), "carrier": np.array(["UA"], dtype=object)}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0), tree_model(-2.0), shares=(0.5, 0.5))
    return world


@pytest.fixture
def asking(world: World) -> Asking:
    return Asking(world)


def outputs(response: Any) -> dict[str, list[Any]]:
    """The tensors of an answer, which has them as a request has."""
    request = message("ModelInferRequest", raw_input_contents=response.raw_output_contents)
    for output in response.outputs:
        request.inputs.add().ParseFromString(output.SerializeToString())
    return {name: array.tolist() for name, array in arrays_of(request).items()}


@pytest.mark.parametrize("raw", [True, False])
def test_one_row_is_answered_as_it_was_sent_with_one_score_and_who_gave_it(
    asking: Asking,
    world: World,
    raw: bool,
) -> None:
    response = asking.ask("ModelInfer", inference(ROW, raw=raw, id="f1"))
    low = {"1": -1.0, "2": -2.0}[response.model_version]
    assert (response.model_name, response.id) == ("late", "f1")
    assert outputs(response) == {"score": [tree_score(low)]}
    assert bool(response.raw_output_contents) == raw
    assert response.parameters["arm"].string_param in {"champion", "challenger"}
    assert response.parameters["route_revision"].int64_param == 1
    (logged,) = world.predictions.records
    assert (logged.id, logged.score) == ("f1", tree_score(low))


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_several_rows_are_answered_in_their_order(asking: Asking, shape: tuple[int, ...]) -> None:
    rows = {
        "miles": np.array([100, 600, 100], "int16").reshape(shape),
        "carrier": np.array(["UA", "AA", "new"], dtype=object).reshape(shape),
    }
    response = asking.ask("ModelInfer", inference(rows, model_version="1"))
    low, high = tree_score(-1.0), tree_score(3.0)
    assert (response.model_version, outputs(response)) == ("1", {"score": [low, high, low]})


def test_no_rows_are_answered_with_no_scores(asking: Asking) -> None:
    rows = {"miles": np.zeros(0), "carrier": np.array([], dtype=object)}
    assert outputs(asking.ask("ModelInfer", inference(rows))) == {"score": []}


def test_the_sticky_key_comes_from_the_parameters_or_the_metadata(asking: Asking, world: World) -> None:
    for n in range(20):
        request = inference(ROW, id=f"a{n}")
        request.parameters["key"].string_param = f"traveller-{n}"
        asking.ask("ModelInfer", request)
        headers = {"x-esteira-key": f"traveller-{n}"}
        asking.ask("ModelInfer", inference(ROW, id=f"b{n}"), headers)
    arms = {each.id: (each.arm, each.key) for each in world.predictions.records}
    assert all(arms[f"a{n}"] == arms[f"b{n}"] for n in range(20))
    assert {arm for arm, _ in arms.values()} == {"champion", "challenger"}


def test_a_matrix_of_all_columns_is_read_as_over_http(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0, Signature((Column("miles"), Column("gust")), "late")))
    matrix = {"input": np.array([[100.0, 1.0], [600.0, 2.0]], "float32")}
    response = Asking(world).ask("ModelInfer", inference(matrix))
    assert outputs(response) == {"score": [tree_score(-1.0), tree_score(3.0)]}


def test_a_model_of_tensors_is_asked_for_those_that_are_wanted(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(doubling(), name="doubling")
    asking, pixels = Asking(world), np.arange(12, dtype="float32").reshape(2, 2, 3)
    found = asking.ask("ModelMetadata", message("ModelMetadataRequest", name="doubling"))
    assert [(each.name, each.datatype, [*each.shape]) for each in found.outputs] == [
        ("twice", "FP32", [-1, 2, 3]),
        ("sum", "FP32", [-1, 1]),
    ]
    request = inference({"pixels": pixels}, model_name="doubling")
    sums = [[15.0], [51.0]]
    assert outputs(asking.ask("ModelInfer", request)) == {"twice": (pixels * 2).tolist(), "sum": sums}
    request.outputs.add(name="sum")
    assert outputs(asking.ask("ModelInfer", request)) == {"sum": sums}
    wrong = inference({"pixels": pixels[:, :1]}, model_name="doubling")
    assert asking.ask("ModelInfer", wrong).status == "INVALID_ARGUMENT"
    assert [each.id[-2:] == "#1" for each in world.predictions.records] == [False, True, False, True]


def test_features_are_read_by_the_keys_of_the_request(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0, VIEWED))
    keyed = {"miles": np.array([1.0]), "origin": np.array(["JFK"], dtype=object)}
    assert outputs(Asking(world).ask("ModelInfer", inference(keyed))) == {"score": [tree_score(-1.0)]}


def refused(asking: Asking, request: Any) -> tuple[str, str]:
    refusal = asking.ask("ModelInfer", request)
    return refusal.status, refusal.message


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"miles": np.array([1.0])}, "'carrier' must be a category, found nothing"),
        (ROW | {"gusts": np.array([1.0])}, "did you mean 'gust'?"),
        (ROW | {"miles": np.array(["far"], dtype=object)}, "'miles' must be a number"),
        (ROW | {"miles": np.array([np.nan])}, "'miles' must be a finite number"),
        (ROW | {"miles": np.array([1.0, 2.0])}, "must be as long as"),
        (ROW | {"miles": np.zeros((1, 1, 1))}, "of shape [n] or [n, 1]"),
        (ROW | {"miles": np.zeros(())}, "of shape [n] or [n, 1]"),
        ({}, "inputs is empty"),
    ],
)
def test_tensors_that_are_not_the_models_are_refused_by_name(
    asking: Asking, world: World, arrays: dict[str, Any], said: str
) -> None:
    status, message_ = refused(asking, inference(arrays))
    assert (status, said in message_) == ("INVALID_ARGUMENT", True), message_
    assert world.predictions.records == []


def test_what_else_is_wrong_with_a_request_is_said(asking: Asking) -> None:
    keyed = inference(ROW)
    keyed.parameters["key"].int64_param = 7
    assert refused(asking, keyed) == ("INVALID_ARGUMENT", "parameters.key must be a text, found 7")
    assert refused(asking, inference(ROW, id="x" * 1000))[0] == "INVALID_ARGUMENT"
    assert refused(asking, inference(ROW, model_name="early"))[0] == "NOT_FOUND"
    assert refused(asking, inference(ROW, model_version="9"))[0] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("name", "parameter", "said"),
    [("scores", "", "did you mean 'score'?"), ("score", "classification", "no classes")],
)
def test_an_output_that_there_is_not_is_refused(asking: Asking, name: str, parameter: str, said: str) -> None:
    request = inference(ROW)
    output = request.outputs.add(name=name)
    if parameter:
        output.parameters[parameter].int64_param = 3
    status, message_ = refused(asking, request)
    assert (status, said in message_) == ("INVALID_ARGUMENT", True), message_


def test_an_output_may_be_asked_for_by_name(asking: Asking) -> None:
    request = inference(ROW, model_version="1")
    request.outputs.add(name="score")
    assert outputs(asking.ask("ModelInfer", request)) == {"score": [tree_score(-1.0)]}


def test_the_metadata_names_what_a_request_carries(asking: Asking) -> None:
    response = asking.ask("ModelMetadata", message("ModelMetadataRequest", name="late", version="2"))
    assert (response.name, list(response.versions), response.platform) == ("late", ["1", "2"], "lightgbm")
    inputs = [(each.name, each.datatype, list(each.shape)) for each in response.inputs]
    assert inputs == [("miles", "FP64", [-1]), ("carrier", "BYTES", [-1]), ("gust", "FP64", [-1])]
    assert [(each.name, each.datatype) for each in response.outputs] == [("score", "FP64")]
    for name, version in (("early", ""), ("late", "9")):
        unknown = message("ModelMetadataRequest", name=name, version=version)
        assert asking.ask("ModelMetadata", unknown).status == "NOT_FOUND"
