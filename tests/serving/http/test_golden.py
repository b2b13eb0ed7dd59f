"""Every request of the golden corpus, to our site and compared with what MLflow's own server answered."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from tests.serving.worlds import World

from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature
from esteira.registry.tensors import TensorSignature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

GOLDEN = Path(__file__).parent / "golden"
CORPUS = json.loads((GOLDEN / "corpus.json").read_text(encoding="utf-8"))
EXCHANGES = {each["name"]: each for each in CORPUS["exchanges"]}
SIGNATURES = {
    "late": Signature(
        (Column("miles"), Column("carrier", "category", ("AA", "UA", "WN")), Column("gust", optional=True)),
        "late",
    ),
    "numbers": Signature((Column("a"), Column("b"), Column("c")), "late"),
    "single": Signature((Column("a"),), "late"),
}
SUMS = (TensorSpec("sum", "FP64", (-1,)),)
TENSORS = {
    "matrix": TensorSignature((TensorSpec("x", "FP64", (-1, 3)),), SUMS),
    "pair": TensorSignature((TensorSpec("a", "FP32", (-1, 2)), TensorSpec("b", "INT64", (-1,))), SUMS),
    "named": TensorSignature((TensorSpec("image", "UINT8", (-1, 2, 2)),), SUMS),
}
SITE = sorted(name for name, each in EXCHANGES.items() if each["model"] in SIGNATURES)

# The status of ours where it differs, and why.
OTHER_STATUS: Mapping[str, tuple[int, str]] = {
    **dict.fromkeys(
        (
            "null for a number",
            "null for a category",
            "nan for a number",
            "a key that one record lacks",
            "csv with nothing for a number",
            "parquet with null",
        ),
        (400, "MLflow scores what the model never saw: nothing in a column that never lacked anything"),
    ),
    **dict.fromkeys(
        ("infinity for a number", "csv with infinity"),
        (400, "infinity is no measurement, whatever scores it"),
    ),
    **dict.fromkeys(
        ("a number in quotes", "a number for a category"),
        (400, "MLflow converts between texts and numbers, and so hides a client's mistake"),
    ),
    **dict.fromkeys(
        ("split with ragged rows", "csv with short row"),
        (400, "MLflow fills up what a short row lacks, though the values may have slipped"),
    ),
    "csv with doubled column": (400, "MLflow scores one of the two columns and does not say which"),
    "rows of numbers without names": (200, "where all columns are numbers their order has one reading"),
    **dict.fromkeys(
        ("no rows", "no rows of inputs"),
        (200, "no rows have no predictions, as columns without rows have none"),
    ),
    "instances of which one brings the optional column": (200, "what is optional may be absent from a row"),
    "parquet of whole numbers": (200, "MLflow takes whole numbers of 64 bits in JSON, not in Parquet"),
    "content type Application/JSON": (200, "media types know no case: RFC 9110, 8.3.1"),
    "content type application/json;": (200, "an empty parameter says nothing: RFC 9110, 5.6.6"),
    "content type ": (200, "JSON is what a client means that does not say"),
    "content type None": (200, "MLflow fails with 500; JSON is what a client means that does not say"),
}
# Ours is BAD_REQUEST for bodies and values, INVALID_PARAMETER_VALUE for names, lengths and shapes; MLflow's
# depends on which of its steps noticed. Both are 400.
OTHER_CODE = {
    "a chat",
    "a column of lists",
    "a table for the only column",
    "half a surrogate pair",
    "instances that differ in length",
    "inputs as text",
    "nested lists for a number",
    "parquet of texts",
    "records of numbers",
    "parquet of times",
    "rows without names",
}
# FastAPI says these, in its own shape.
OF_THE_FRAMEWORK = {"get invocations", "post ping", "nowhere"}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    opened = {}
    for name, signature in SIGNATURES.items():
        opened[name] = World(tmp_path_factory.mktemp(name))
        opened[name].deploy(
            Model("lightgbm", signature, {"model.txt": (GOLDEN / f"{name}.txt").read_bytes()})
        )
    return opened


def body_of(request: Mapping[str, Any]) -> bytes:
    if "base64" in request:
        return base64.b64decode(request["base64"])
    return request["body"].encode()


def agree(name: str, expected: Any, found: Any) -> None:
    """The same predictions, or an error of the same keys about the same fact."""
    if "predictions" in expected:
        assert set(found) == {"predictions"}
        assert found["predictions"] == pytest.approx(expected["predictions"], abs=1e-12, nan_ok=True)
        return
    assert set(found) == set(expected) - {"stack_trace"}  # of which there never is any
    if name not in OTHER_CODE:
        told = ("error_code", "sqlstate", "error_class")
        assert [found[key] for key in told] == [expected[key] for key in told], found
    assert found["message"]
    assert "Traceback" not in found["message"]


@pytest.mark.parametrize("name", SITE)
def test_our_answer_is_that_of_mlflow_or_differs_for_a_reason(name: str, worlds: dict[str, World]) -> None:
    exchange = EXCHANGES[name]
    asked, expected = exchange["request"], exchange["response"]
    headers = {} if asked["content_type"] is None else {"content-type": asked["content_type"]}
    site = worlds[exchange["model"]].site
    found = site.handle(asked["method"], asked["path"], headers, body_of(asked))
    if name in OTHER_STATUS:
        assert found.status == OTHER_STATUS[name][0] != expected["status"], found.body
        return
    assert found.status == expected["status"], found.body
    assert found.content_type == expected["content_type"]
    if isinstance(expected["body"], dict) and name not in OF_THE_FRAMEWORK:
        agree(name, expected["body"], json.loads(found.body))


@pytest.mark.parametrize("name", sorted(OTHER_STATUS))
def test_what_we_refuse_instead_is_said_in_mlflows_shape(name: str, worlds: dict[str, World]) -> None:
    exchange = EXCHANGES[name]
    asked = exchange["request"]
    headers = {} if asked["content_type"] is None else {"content-type": asked["content_type"]}
    found = worlds[exchange["model"]].post("/invocations", body_of(asked), headers)
    keys = {"error_code", "message", "sqlstate", "error_class"} if found.status == 400 else {"predictions"}
    assert set(json.loads(found.body)) == keys


def test_every_exception_is_of_a_request_in_the_corpus() -> None:
    assert {*OTHER_STATUS, *OTHER_CODE, *OF_THE_FRAMEWORK, *OTHER_TENSORS} <= set(EXCHANGES)


def test_ping_health_and_version_are_mlflows_to_the_byte(worlds: dict[str, World]) -> None:
    for name in ("ping", "health"):
        assert worlds["late"].get(f"/{name}").body.decode() == EXCHANGES[name]["response"]["body"]
    version = worlds["late"].get("/version")
    assert not version.body.startswith(b'"')  # bare, though labelled JSON: MLflow's clients read it so
    assert EXCHANGES["version"]["response"]["body"] == CORPUS["mlflow"]


def summing(tensors: TensorSignature) -> Model:
    """What the models of tensors in the corpus do: add up each row, as an ONNX graph."""
    helper, double = onnx.helper, onnx.TensorProto.DOUBLE
    inputs, nodes, constants = [], [], []
    for spec in tensors.inputs:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
        inputs.append(helper.make_tensor_value_info(spec.name, kind, ["n", *spec.shape[1:]]))
        nodes.append(helper.make_node("Cast", [spec.name], [f"{spec.name} real"], to=double))
        nodes.append(helper.make_node("Identity", [f"{spec.name} real"], [f"{spec.name} total"]))
        if spec.shape[1:]:
            axes = [*range(1, len(spec.shape))]
            constants.append(
                helper.make_tensor(f"{spec.name} axes", onnx.TensorProto.INT64, [len(axes)], axes)
            )
            reduced = [f"{spec.name} real", f"{spec.name} axes"], [f"{spec.name} total"]
            nodes[-1] = helper.make_node("ReduceSum", *reduced, keepdims=0)
    nodes.append(helper.make_node("Sum", [f"{spec.name} total" for spec in tensors.inputs], ["sum"]))
    output = helper.make_tensor_value_info("sum", double, ["n"])
    graph = helper.make_graph(nodes, "summing", inputs, [output], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return Model("onnx", Signature((), "sum"), {"model.onnx": made.SerializeToString()}, tensors=tensors)


@pytest.fixture(scope="module")
def tensor_worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    opened = {}
    for name, tensors in TENSORS.items():
        opened[name] = World(tmp_path_factory.mktemp(name))
        opened[name].deploy(summing(tensors))
    return opened


# Where our reading of tensors is another, and why.
OTHER_TENSORS: Mapping[str, str] = {
    "matrix of numbers in quotes": "MLflow converts texts to numbers, and so hides a client's mistake",
    "pair of a fraction": "MLflow cuts 5.5 down to 5 without a word",
}
OTHER_TENSOR_CODE = {
    "matrix named",  # our tensors always have a name, so this is a wrong one
    "matrix null",
    "matrix ragged",
    "pair of instances that lack one",
}


@pytest.mark.parametrize("name", sorted(set(EXCHANGES) - set(SITE)))
def test_our_reading_of_tensors_is_that_of_mlflow(name: str, tensor_worlds: dict[str, World]) -> None:
    exchange = EXCHANGES[name]
    expected = exchange["response"]
    found = tensor_worlds[exchange["model"]].post("/invocations", body_of(exchange["request"]))
    said = json.loads(found.body)
    if name in OTHER_TENSORS:
        assert (found.status, expected["status"]) == (400, 200), said
        return
    assert found.status == expected["status"], said
    if found.status == 200:
        numbers = [np.nan if each is None else each for each in said["predictions"]]  # NaN is not JSON
        assert numbers == pytest.approx(expected["body"]["predictions"], abs=1e-12, nan_ok=True)
        return
    assert set(said) == set(expected["body"]) - {"stack_trace"}
    if name not in OTHER_TENSOR_CODE:
        assert said["error_code"] == expected["body"]["error_code"], said
