from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.worlds import World, tree_model, tree_score

if TYPE_CHECKING:
    from pathlib import Path

LOW, HIGH = tree_score(-1.0), tree_score(3.0)
RECORDS = [{"miles": 100, "carrier": "UA"}, {"miles": 600, "carrier": "AA"}]
SPLIT = {"columns": ["carrier", "miles"], "data": [["UA", 100], ["AA", 600]]}
COLUMNS = {"miles": [100, 600], "carrier": ["UA", "AA"]}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0))
    return world


def invoke(world: World, document: object, **headers: str) -> tuple[int, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = world.post("/invocations", json.dumps(document).encode(), named)
    return response.status, json.loads(response.body)


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_records": RECORDS},
        {"dataframe_split": {"columns": ["miles", "carrier"], "data": [[100, "UA"], [600, "AA"]]}},
        {
            "dataframe_split": {
                "columns": ["carrier", "miles"],
                "index": [7, 8],
                "data": [["UA", 1], ["AA", 600]],
            }
        },
        {"instances": RECORDS},
        {"inputs": COLUMNS},
        {"inputs": RECORDS},
        {"inputs": RECORDS, "params": {}},
        {"inputs": COLUMNS, "signature_name": "serving_default"},
    ],
    ids=lambda document: next(iter(document)),
)
def test_every_format_gives_the_same_predictions(world: World, document: dict[str, Any]) -> None:
    assert invoke(world, document) == (200, {"predictions": [LOW, HIGH]})


def test_a_single_row_may_come_as_bare_values(world: World) -> None:
    assert invoke(world, {"inputs": {"miles": 100, "carrier": "UA"}}) == (200, {"predictions": [LOW]})


def test_an_empty_list_of_rows_has_no_predictions(world: World) -> None:
    assert invoke(world, {"dataframe_records": []}) == (200, {"predictions": []})


@pytest.mark.parametrize(
    "text", ["miles,carrier\n100,UA\n600,AA\n", 'carrier,miles,gust\r\n"UA",1e2,\r\nAA,600,\r\n']
)
def test_rows_may_come_as_csv(world: World, text: str) -> None:
    response = world.post("/invocations", text.encode(), {"content-type": "text/csv; charset=utf-8"})
    assert (response.status, json.loads(response.body)) == (200, {"predictions": [LOW, HIGH]})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not CSV"),
        (b"\xff\xfe", "not CSV"),
        (b"miles,carrier\n100\n", "row 0 has 1 values for 2 columns"),
        (b"miles,carrier\nfar,UA\n", "'miles' must be a number, found 'far'"),
        (b"miles,carrier\n,UA\n", "'miles' must be a number, found nothing"),
        (b"carrier\nUA\n", "'miles' must be a number, found nothing"),
    ],
)
def test_wrong_csv_is_refused_with_what_is_wrong(world: World, text: bytes, said: str) -> None:
    response = world.post("/invocations", text, {"content-type": "text/csv"})
    answer = json.loads(response.body)
    assert response.status == 400
    assert said in answer["message"]


def test_the_caller_learns_who_answered_and_may_name_the_prediction(world: World) -> None:
    body = json.dumps({"dataframe_records": RECORDS}).encode()
    response = world.post("/invocations", body, {"x-esteira-id": "f1", "x-esteira-key": "ana"})
    assert dict(response.headers) == {
        "x-esteira-id": "f1",
        "x-esteira-version": "1",
        "x-esteira-arm": "champion",
    }
    assert [(each.id, each.key) for each in world.predictions.records] == [("f1", "ana"), ("f1#1", "ana")]


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
)
def test_json_is_what_the_header_says_or_when_it_says_nothing(world: World, content_type: str) -> None:
    document = {"dataframe_records": RECORDS}
    assert invoke(world, document, content_type=content_type)[0] == 200
    assert invoke(world, document)[0] == 200


@pytest.mark.parametrize(
    "content_type", ["text/html", "application/json; boundary=x", "application/json; charset=latin-1"]
)
def test_another_content_type_is_not_supported(world: World, content_type: str) -> None:
    response = world.post("/invocations", b"{}", {"content-type": content_type})
    assert (response.status, response.content_type) == (415, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "send exactly one of dataframe_split, dataframe_records, instances, inputs, found none"),
        ({"instances": RECORDS, "inputs": COLUMNS}, "found instances, inputs"),
        ({"dataframe_split": {"data": [[1]]}}, "rows without names"),
        ({"dataframe_split": {"columns": ["miles"], "data": [[1, 2]]}}, "row 0 has 2 values for 1 columns"),
        ({"dataframe_split": {"columns": ["miles"], "data": [1]}}, "$.dataframe_split.data[0]"),
        ({"dataframe_records": [7]}, "row 0 of dataframe_records must be an object, found '7'"),
        ({"inputs": {"miles": [1, 2], "carrier": ["UA"]}}, "columns differ in length"),
        ({"instances": [[1, "UA"]]}, "rows without names"),
        ({"dataframe_records": [{"miles": "far", "carrier": "UA"}]}, "'miles' must be a number, found 'far'"),
        ({"dataframe_records": [*RECORDS, {"miles": 1}]}, "row 2: column 'carrier'"),
        (
            {"dataframe_records": [{"miles": float("nan"), "carrier": "UA"}]},
            "'miles' must be a finite number",
        ),
        ({"dataframe_records": [{"milez": 1, "carrier": "UA"}]}, "did you mean 'miles'?"),
        ([], "does not fit"),
    ],
)
def test_a_wrong_body_is_refused_in_mlflows_own_shape(world: World, document: object, said: str) -> None:
    status, answer = invoke(world, document)
    assert (status, set(answer)) == (400, {"error_code", "message", "sqlstate", "error_class"})
    assert said in answer["message"]


def test_no_model_is_mlflows_not_found(tmp_path: Path) -> None:
    status, answer = invoke(World(tmp_path), {"inputs": COLUMNS})
    assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_the_default_model_answers_among_several(world: World) -> None:
    world.deploy(tree_model(-2.0), name="other")
    assert invoke(world, {"inputs": COLUMNS}) == (200, {"predictions": [LOW, HIGH]})


def test_the_only_model_answers_whatever_its_name(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0), name="other")
    assert invoke(world, {"inputs": COLUMNS})[0] == 200
    world.deploy(tree_model(-1.0), name="third")
    status, answer = invoke(world, {"inputs": COLUMNS})
    assert status == 404
    assert "other, third" in answer["message"]
