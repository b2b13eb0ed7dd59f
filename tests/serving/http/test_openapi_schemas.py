from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest

from esteira.serving.http.openapi_schemas import SCHEMAS, a_list, an_object, reference

COMPONENTS = {"components": {"schemas": json.loads(json.dumps(SCHEMAS))}}


def fits(name: str, value: Any) -> bool:
    return jsonschema_rs.validator_for(COMPONENTS | reference(name)).is_valid(value)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_schema_is_one(name: str) -> None:
    jsonschema_rs.meta.validate(json.loads(json.dumps(SCHEMAS[name])))


def test_an_object_has_what_it_needs_and_may_have_more() -> None:
    schema = an_object({"id": {"type": "string"}}, age={"type": "integer"})
    is_valid = jsonschema_rs.validator_for(schema).is_valid
    assert is_valid({"id": "a", "age": 3, "more": None})
    assert not is_valid({"age": 3})
    assert jsonschema_rs.is_valid(a_list(schema, maxItems=1), [{"id": "a"}])
    assert not jsonschema_rs.is_valid(a_list(schema, maxItems=1), [{"id": "a"}] * 2)


def test_a_body_of_mlflows_protocol_has_exactly_one_format() -> None:
    assert fits("Invocation", {"inputs": {"miles": [1]}, "params": {}})
    assert not fits("Invocation", {"inputs": [], "instances": []})
    assert not fits("Invocation", {})


def test_a_label_has_a_name_and_a_finite_number() -> None:
    assert fits("Labels", [{"id": "f1", "value": 1, "observed_at": "2013-07-01T12:00:00Z"}])
    assert not fits("Labels", [{"id": "", "value": 1}])
    assert not fits("Labels", [{"id": "f1", "value": 1, "revision": -1}])


def test_the_shapes_of_errors_are_those_that_are_sent() -> None:
    assert fits("Error", {"error": "unknown"})
    assert fits("MlflowError", {"error_code": "BAD_REQUEST", "message": "unknown", "sqlstate": "KAM00"})
    assert not fits("MlflowError", {"error": "unknown"})
