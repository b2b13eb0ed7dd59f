from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from tests.serving.worlds import World, tree_model

from esteira.serving.access.roles import NOBODY
from esteira.serving.http.invocations import ID_HEADER
from esteira.serving.http.oip import KEY_HEADER
from esteira.serving.http.openapi import OPERATIONS, gateway_document
from esteira.serving.http.routing import _FIXED, resolve
from esteira.serving.splitting import ARM_HEADER, SEGMENT_HEADER

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.serving.http.openapi import Operation


def path_of(operation: Operation) -> str:
    return operation.path.replace("{", "").replace("}", "")


def test_the_document_is_valid_openapi() -> None:
    assert list(OPENAPI_31_VALIDATOR.iter_errors(gateway_document())) == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_every_operation_is_a_route_that_takes_the_role_it_says(operation: Operation) -> None:
    route = resolve(path_of(operation))
    assert route is not None
    assert operation.method.upper() in route.handlers
    assert operation.need == route.need
    assert (operation.protocol == "mlflow") == (route.protocol == "mlflow")


def test_every_route_is_in_the_document() -> None:
    said = {(operation.method.upper(), path_of(operation)) for operation in OPERATIONS}
    routed = {(method, path) for path, route in _FIXED.items() if path != "/v2/" for method in route.handlers}
    for path in ("/v2/models/model", "/features/view", "/push/table", "/v2/repository/models/model/load"):
        route = resolve(path)
        assert route is not None
        routed |= {(method, path) for method in route.handlers}
    assert routed <= said


def test_only_what_answers_everybody_is_without_security() -> None:
    for operation in OPERATIONS:
        said = gateway_document()["paths"][operation.path][operation.method]
        assert (said["security"] == []) == (operation.need == NOBODY)
        assert ("401" in said["responses"]) == (operation.need != NOBODY)


def test_names_of_operations_are_their_own() -> None:
    names = [each["operationId"] for path in gateway_document()["paths"].values() for each in path.values()]
    assert len(set(names)) == len(names)


def test_the_gateway_answers_with_its_document(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0))
    assert json.loads(world.get("/openapi.json").body) == json.loads(json.dumps(gateway_document()))


def test_the_headers_that_a_request_to_a_model_may_bring_are_in_the_document() -> None:
    paths = gateway_document()["paths"]
    split = {KEY_HEADER, SEGMENT_HEADER, ARM_HEADER}
    for path, names in (("/invocations", {ID_HEADER, *split}), ("/v2/models/{model}/infer", split)):
        said = {each["name"] for each in paths[path]["post"]["parameters"] if each["in"] == "header"}
        assert said == names
    asking = {path for path in paths if ARM_HEADER in str(paths[path])}
    pinned = "/v2/models/{model}/versions/{version}/infer"
    assert asking == {"/invocations", "/v2/models/{model}/infer", pinned}
