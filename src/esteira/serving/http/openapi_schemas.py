"""The shapes of requests, answers and errors, as the schemas that OpenAPI documents refer to.

Source: JSON Schema 2020-12, the dialect of OpenAPI 3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esteira.registry.tensors import DTYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    Schema = dict[str, Any]

LARGEST = 1.7976931348623157e308  # a number that JSON can say and a float cannot is refused
TEXT: Mapping[str, Any] = {"type": "string"}
WHOLE: Mapping[str, Any] = {"type": "integer"}
NUMBER: Mapping[str, Any] = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


def an_object(needed: Mapping[str, Any], **optional: Any) -> Schema:  # noqa: ANN401 - schemas
    """An object with what it must have and what it may have.

    >>> an_object({"id": {"type": "string"}})["required"]
    ['id']
    """
    return {"type": "object", "required": [*needed], "properties": {**needed, **optional}}


def a_list(of: Mapping[str, Any], **more: Any) -> Schema:  # noqa: ANN401 - keywords of JSON Schema
    """A list of one kind of thing."""
    return {"type": "array", "items": dict(of), **more}


def reference(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


_DATATYPE = {"type": "string", "enum": [*DTYPES]}
_SHAPE = a_list({"type": "integer", "minimum": 0, "maximum": 2**31})
_SPEC = an_object({"name": TEXT, "datatype": _DATATYPE, "shape": a_list(WHOLE)})
TENSOR = an_object(
    {"name": TEXT, "datatype": _DATATYPE, "shape": _SHAPE},
    data={"type": "array", "description": "Flat or nested, row-major; absent where the bytes follow."},
    parameters=ANY_OBJECT,
)
_ID = {"type": "string", "maxLength": 256, "description": "The prediction's id; made when absent."}
_AT = {
    "type": ["integer", "string", "null"],
    "description": "A moment: UTC microseconds, or ISO 8601 with a zone.",
}
_ONE_FORMAT = [
    {"required": [name]} for name in ("dataframe_split", "dataframe_records", "instances", "inputs")
]

SCHEMAS: Mapping[str, Schema] = {
    "Any": {"type": "object"},
    "Error": an_object({"error": {"type": "string", "maxLength": 1100}}),
    "MlflowError": an_object(
        {"error_code": TEXT, "message": {"type": "string", "maxLength": 1100}},
        sqlstate=TEXT,
        error_class=TEXT,
    ),
    "Server": an_object({"name": TEXT, "version": TEXT, "extensions": a_list(TEXT)}),
    "Live": an_object({"live": {"type": "boolean"}}),
    "Ready": an_object({"ready": {"type": "boolean"}}),
    "ModelReady": an_object({"name": TEXT, "ready": {"type": "boolean"}}),
    "Model": an_object(
        {
            "name": TEXT,
            "versions": a_list(TEXT),
            "platform": TEXT,
            "inputs": a_list(_SPEC),
            "outputs": a_list(_SPEC),
        },
        parameters=ANY_OBJECT,
    ),
    "InferRequest": an_object(
        {"inputs": a_list(TENSOR)},
        id=_ID,
        parameters=ANY_OBJECT,
        outputs=a_list(an_object({"name": TEXT}, parameters=ANY_OBJECT)),
    ),
    "InferResponse": an_object(
        {"model_name": TEXT, "model_version": TEXT, "id": TEXT, "outputs": a_list(TENSOR)},
        parameters=ANY_OBJECT,
    ),
    "Invocation": {
        **an_object(
            {},
            dataframe_split=an_object({"data": a_list({"type": "array"})}, columns=a_list(TEXT)),
            dataframe_records=a_list(ANY_OBJECT),
            instances={"description": "Records, columns by name, or tensors."},
            inputs={"description": "Records, columns by name, or tensors."},
            params={"description": "Ignored."},
        ),
        "oneOf": _ONE_FORMAT,
    },
    "Predictions": an_object(
        {"predictions": {"description": "One for each row; of a model with several outputs, by name."}}
    ),
    "Index": a_list(an_object({"name": TEXT, "state": TEXT}, version=TEXT, reason=TEXT)),
    "Change": an_object({}, parameters=ANY_OBJECT),
    "Read": an_object({"entities": a_list(ANY_OBJECT)}, features=a_list(TEXT), at=_AT),
    "Features": an_object(
        {"columns": a_list(TEXT), "values": {"type": "array"}, "status": {"type": "array"}}
    ),
    "Rows": an_object({"rows": a_list(ANY_OBJECT)}, token={"type": ["string", "null"]}),
    "Labels": a_list(
        an_object(
            {"id": {"type": "string", "minLength": 1, "maxLength": 300}, "value": NUMBER},
            observed_at=_AT,
            revision={"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        )
    ),
    "Accepted": an_object({"accepted": WHOLE}, token=TEXT),
}
