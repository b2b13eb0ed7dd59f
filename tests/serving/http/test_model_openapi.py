from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from tests.serving.worlds import NOON, PLAIN, VIEWED, World, tree_model

from esteira.features.views import FeatureView
from esteira.registry.signature import Column, Signature
from esteira.registry.tensors import TensorSignature, TensorSpec
from esteira.serving.http.arrays import tensors_of_json
from esteira.serving.http.model_openapi import model_document, row_schema

if TYPE_CHECKING:
    from pathlib import Path

MANY = Signature((Column("plane", "category", tuple(f"N{n}" for n in range(50))),), "late")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("site"))
    world.deploy(tree_model(-1.0))
    return world


def document_of(world: World, path: str = "/v2/models/late/openapi.json") -> dict[str, Any]:
    response = world.get(path)
    assert response.status == 200
    found: dict[str, Any] = json.loads(response.body)
    assert list(OPENAPI_31_VALIDATOR.iter_errors(found)) == []
    return found


def body_of(document: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return found


@pytest.mark.parametrize("signature", [PLAIN, VIEWED, MANY], ids=["plain", "viewed", "many"])
def test_every_example_fits_its_schema_and_is_answered(tmp_path: Path, signature: Signature) -> None:
    world = World(tmp_path)
    rows = pa.table({"origin": ["JFK"], "hour": [NOON], "visib": [9.0]})
    world.online.write(FeatureView("weather", ("origin",), ("visib",), "weather", "hour"), rows)
    world.deploy(tree_model(-1.0, signature))
    document = document_of(world)
    for path in ("/v2/models/late/infer", "/invocations"):
        body = body_of(document, path)
        schema = body["schema"] | {"components": document["components"]}
        assert list(jsonschema_rs.validator_for(schema).iter_errors(body["example"])) == []
        response = world.post(path, json.dumps(body["example"]).encode())
        assert response.status == 200, response.body


def test_a_row_says_its_columns_their_types_and_what_it_needs(world: World) -> None:
    row = row_schema(world.live.models["late"].champion)
    assert row["required"] == ["miles", "carrier"]
    assert row["properties"]["miles"]["type"] == "number"
    assert row["properties"]["carrier"]["examples"] == ["AA", "UA"]
    assert "enum" not in row["properties"]["carrier"]
    assert row["properties"]["gust"]["type"] == ["number", "null"]


def test_many_categories_are_told_in_part(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0, MANY))
    plane = row_schema(world.live.models["late"].champion)["properties"]["plane"]
    assert len(plane["examples"]) == 20
    assert "and 30 more" in plane["description"]


def test_keys_of_views_are_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0, VIEWED))
    row = row_schema(world.live.models["late"].champion)
    assert row["required"] == ["miles", "origin"]
    assert "feature view weather" in row["properties"]["origin"]["description"]
    assert "weather__visib" not in row["properties"]


finite = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**308), 10**308)
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.lists(
        st.fixed_dictionaries({"miles": finite, "carrier": texts}, optional={"gust": st.none() | finite})
    )
)
def test_whatever_fits_the_schema_is_answered(world: World, rows: list[dict[str, Any]]) -> None:
    row = row_schema(world.live.models["late"].champion)
    assert all(jsonschema_rs.is_valid(row, each) for each in rows)
    assert world.post("/invocations", json.dumps({"instances": rows}).encode()).status == 200


def test_a_version_has_a_document_of_its_own(world: World) -> None:
    document = document_of(world, "/v2/models/late/versions/1/openapi.json")
    assert [*document["paths"]] == [f"/v2/models/late/versions/1{rest}" for rest in ("", "/ready", "/infer")]
    assert world.get("/v2/models/late/versions/9/openapi.json").status == 404


def test_only_the_default_model_is_asked_by_invocations(world: World) -> None:
    arm = world.live.models["late"].champion
    assert "/invocations" not in model_document("late", "", arm, is_default=False)["paths"]
    assert "/v2/models/a%20b%2Fc" in model_document("a b/c", "", arm, is_default=False)["paths"]


def test_a_model_of_tensors_says_their_shapes_with_an_example_that_is_read() -> None:
    pixels, age = TensorSpec("pixels", "UINT8", (-1, 2, 2)), TensorSpec("age", "FP32", (-1,))
    tensors = TensorSignature((pixels, age), (TensorSpec("score", "FP32", (-1,)),))
    arm: Any = SimpleNamespace(version="1", tensors=tensors)
    document = model_document("late", "", arm, is_default=True)
    assert list(OPENAPI_31_VALIDATOR.iter_errors(document)) == []
    example = body_of(document, "/invocations")["example"]
    found = tensors_of_json(json.dumps(example).encode(), tensors)
    assert found["pixels"].tolist() == [[[0, 0], [0, 0]]]
    assert "pixels UINT8 of shape [-1, 2, 2]" in json.dumps(body_of(document, "/v2/models/late/infer"))
    large = TensorSignature((replace(pixels, shape=(-1, 500, 500)),), tensors.outputs)
    arm.tensors = large
    assert "example" not in body_of(model_document("late", "", arm, is_default=True), "/invocations")
