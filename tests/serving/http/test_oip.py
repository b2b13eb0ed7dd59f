from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.worlds import VIEWED, World, tree_model, tree_score

if TYPE_CHECKING:
    from pathlib import Path

PATH = "/v2/models/late/infer"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0), tree_model(-2.0), shares=(0.5, 0.5))
    return world


def tensor(name: str, *data: Any, datatype: str = "FP64", shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": [*data]}


def one_row(**changed: Any) -> dict[str, Any]:
    inputs = [tensor("miles", 100.0), tensor("carrier", "UA", datatype="BYTES")]
    return {"id": "f1", "inputs": inputs, **changed}


def infer(
    world: World, document: dict[str, Any], path: str = PATH, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    response = world.post(path, json.dumps(document).encode(), headers)
    assert response.content_type == "application/json"
    return response.status, json.loads(response.body)


def test_one_row_is_answered_with_one_score_and_who_gave_it(world: World) -> None:
    status, answer = infer(world, one_row(parameters={"key": "b"}))
    version = answer["model_version"]
    low = {"1": -1.0, "2": -2.0}[version]
    assert status == 200
    assert answer == {
        "model_name": "late",
        "model_version": version,
        "id": "f1",
        "parameters": {"arm": {"1": "champion", "2": "challenger"}[version], "route_revision": 1},
        "outputs": [{"name": "score", "datatype": "FP64", "shape": [1], "data": [tree_score(low)]}],
    }


def test_the_sticky_key_comes_from_the_parameters_or_the_header(world: World) -> None:
    for n in range(30):
        key = f"traveller-{n}"
        infer(world, one_row(id=f"a{n}", parameters={"key": key}))
        infer(world, one_row(id=f"b{n}"), headers={"x-esteira-key": key})
    arms = {each.id: (each.arm, each.key) for each in world.predictions.records}
    assert all(arms[f"a{n}"] == arms[f"b{n}"] for n in range(30))
    assert {arm for arm, _ in arms.values()} == {"champion", "challenger"}


def test_several_rows_are_answered_in_their_order(world: World) -> None:
    inputs = [tensor("miles", 100, 600, 100), tensor("carrier", "UA", "AA", "new", datatype="BYTES")]
    _, answer = infer(world, {"inputs": inputs}, "/v2/models/late/versions/1/infer")
    low, high = tree_score(-1.0), tree_score(3.0)
    expected = {"name": "score", "datatype": "FP64", "shape": [3], "data": [low, high, low]}
    assert answer["outputs"] == [expected]
    assert answer["id"]


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "FP16", "INT8", "INT64", "UINT8", "UINT64"])
@pytest.mark.parametrize("count", [1, 2])
def test_numbers_come_in_any_numeric_datatype(world: World, datatype: str, count: int) -> None:
    inputs = [
        tensor("miles", *[100] * count, datatype=datatype),
        tensor("carrier", *["UA"] * count, datatype="BYTES"),
    ]
    assert infer(world, {"inputs": inputs})[0] == 200


@pytest.mark.parametrize("value", [True, False])
def test_a_flag_is_a_number(world: World, value: object) -> None:
    inputs = [tensor("miles", value, datatype="BOOL"), tensor("carrier", "UA", datatype="BYTES")]
    assert infer(world, {"inputs": inputs})[0] == 200


@pytest.mark.parametrize("data", [[1, 2], [[1], [2]]])
def test_a_column_may_be_written_as_a_matrix_of_one_column(world: World, data: list[Any]) -> None:
    inputs = [
        {"name": "miles", "shape": [2, 1], "datatype": "FP64", "data": data},
        tensor("carrier", "UA", "UA", datatype="BYTES", shape=[2, 1]),
    ]
    assert infer(world, {"inputs": inputs})[0] == 200


def test_what_is_optional_may_be_null_or_absent(world: World) -> None:
    inputs = one_row()["inputs"]
    assert infer(world, {"inputs": [*inputs, tensor("gust", None)]})[0] == 200
    assert infer(world, {"inputs": [*inputs, tensor("gust", 3.5)]})[0] == 200


def test_only_the_score_can_be_asked_for(world: World) -> None:
    assert infer(world, one_row(outputs=[{"name": "score"}]))[0] == 200
    status, answer = infer(world, one_row(outputs=[{"name": "label"}]))
    assert (status, "known: score" in answer["error"]) == (400, True)


def test_what_the_protocol_may_add_later_is_passed_over(world: World) -> None:
    document = one_row(parameters={"sequence_id": 1}, extension=1)
    document["inputs"][0]["parameters"] = {"content_type": "np"}
    assert infer(world, document)[0] == 200


CARRIER = tensor("carrier", "UA", datatype="BYTES")
MILES = tensor("miles", 100.0)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([CARRIER], "'miles' must be a number, found nothing"),
        ([MILES], "'carrier' must be a category, found nothing"),
        ([tensor("miles", None), CARRIER], "'miles' must be a number"),
        ([tensor("miles", "far", datatype="BYTES"), CARRIER], "'miles' must be a number, found 'far'"),
        ([tensor("miles", "far"), CARRIER], "'miles' must be FP64 elements, found 'far'"),
        ([tensor("miles", 1.5, datatype="INT64"), CARRIER], "'miles' must be INT64 elements, found 1.5"),
        ([tensor("miles", 1, datatype="BOOL"), CARRIER], "'miles' must be BOOL elements"),
        ([tensor("miles", 1, datatype="FLOAT"), CARRIER], "'miles' must be of datatype BOOL, BYTES, FP16"),
        ([tensor("miles", float("nan")), CARRIER], "'miles' must be a finite number, found nan"),
        ([tensor("miles", float("inf")), CARRIER], "'miles' must be a finite number, found inf"),
        ([MILES, tensor("carrier", 7)], "'carrier' must be a text, found 7"),
        ([MILES, CARRIER, tensor("gusts", 1.0)], "did you mean 'gust'?"),
        ([MILES, MILES, CARRIER], "'miles' must be one tensor"),
        ([MILES, tensor("carrier", "UA", "AA", datatype="BYTES")], "'carrier' must be as long as 'miles', 1"),
        (
            [tensor("miles", 1.0, shape=[2]), CARRIER],
            "'miles' must be 2 elements, as its shape",
        ),
        ([tensor("miles", 1.0, shape=[1, 3]), CARRIER], "'miles' must be of shape [n] or [n, 1]"),
        ([tensor("miles", 1.0, shape=[1, 1, 1]), CARRIER], "'miles' must be of shape [n] or [n, 1]"),
        ([{**MILES, "shape": []}, CARRIER], "'miles' must be of shape [n] or [n, 1]"),
        ([tensor("miles", 1.0, shape=[-1]), CARRIER], "'miles' must be -1 elements"),
        ([tensor("miles", [1.0]), CARRIER], "'miles' must be FP64 elements, found [1.0]"),
        ([tensor("miles", {"a": 1}), CARRIER], "'miles' must be FP64 elements"),
        ([], "inputs is empty"),
    ],
)
def test_a_wrong_tensor_is_refused_by_name_with_what_was_expected(
    world: World, inputs: list[dict[str, Any]], said: str
) -> None:
    status, answer = infer(world, {"inputs": inputs})
    assert status == 400
    assert list(answer) == ["error"]
    assert said in answer["error"]
    assert world.predictions.records == []


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "missing required field `inputs`"),
        ({"inputs": "miles"}, "`$.inputs`"),
        ({"inputs": [{"name": "miles"}]}, "$.inputs[0]"),
        ({"inputs": [], "id": 7}, "`$.id`"),
        (one_row(parameters={"key": 7}), "parameters.key must be a text"),
        (one_row(parameters={"key": "x" * 1000}), "256 characters"),
        (one_row(id="x" * 1000), "256 characters"),
    ],
)
def test_a_wrong_document_is_refused_with_the_place(
    world: World, document: dict[str, Any], said: str
) -> None:
    status, answer = infer(world, document)
    assert (status, said in answer["error"]) == (400, True), answer


def test_keys_of_features_are_bytes_and_may_be_null(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0, VIEWED))
    for origin in ("JFK", None):
        inputs = [MILES, tensor("origin", origin, datatype="BYTES")]
        assert infer(world, {"inputs": inputs})[0] == 200
    status, answer = infer(world, {"inputs": [MILES]})
    assert (status, "'origin' must be given" in answer["error"]) == (400, True)
