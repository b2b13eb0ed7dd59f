"""The public client of Triton, unmodified, over HTTP, against a real gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.serving.worlds import deployment, project, tree_model, tree_score
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from esteira.pipelines.artifacts import ArtifactStore
from esteira.registry.bundle import Model
from esteira.registry.signature import Signature
from esteira.registry.tensors import TensorSignature, TensorSpec
from esteira.serving.process import GatewayProcess
from esteira.serving.routes import RouteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


def doubling() -> Model:
    """A model of tensors: `twice` is twice the pixels, `sum` their sum along the rows."""
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 2, 3])
    twice = helper.make_tensor_value_info("twice", TensorProto.FLOAT, ["n", 2, 3])
    total = helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["n", 1])
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])
    nodes = [
        helper.make_node("Add", ["pixels", "pixels"], ["twice"]),
        helper.make_node("ReduceSum", ["pixels", "axes"], ["row"], keepdims=0),
        helper.make_node("Unsqueeze", ["row", "last"], ["sum"]),
    ]
    last = helper.make_tensor("last", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(nodes, "doubling", [pixels], [twice, total], [axes, last])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    tensors = TensorSignature(
        (TensorSpec("pixels", "FP32", (-1, 2, 3)),),
        (TensorSpec("twice", "FP32", (-1, 2, 3)), TensorSpec("sum", "FP32", (-1, 1))),
    )
    return Model("onnx", Signature((), ""), {"model.onnx": made.SerializeToString()}, tensors=tensors)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceServerClient]:
    settings = project(tmp_path_factory.mktemp("triton"))
    artifacts, routes = ArtifactStore(settings.store("artifacts")), RouteStore(settings.store("state"))
    routes.set(deployment(artifacts, tree_model(-1.0)))
    routes.set(deployment(artifacts, doubling(), name="doubling"))
    with GatewayProcess(settings.root, port=0) as gateway:
        client = InferenceServerClient(gateway.url.removeprefix("http://"), concurrency=4)
        yield client
        client.close()


def given(name: str, values: Any, datatype: str, *, binary: bool) -> InferInput:
    array = np.array(values, dtype=object if datatype == "BYTES" else None)
    found = InferInput(name, array.shape, datatype)
    if datatype != "BYTES":
        array = array.astype({"FP64": "f8", "FP32": "f4", "INT32": "i4", "FP16": "f2"}[datatype])
    found.set_data_from_numpy(array, binary_data=binary)
    return found


def test_the_server_and_its_models_are_described(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("late")
    assert client.is_model_ready("late", "1")
    assert not client.is_model_ready("early")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert [each["name"] for each in client.get_model_metadata("late")["inputs"]] == [
        "miles",
        "carrier",
        "gust",
    ]
    described = client.get_model_metadata("doubling", "1")
    assert described["inputs"] == [{"name": "pixels", "datatype": "FP32", "shape": [-1, 2, 3]}]
    assert [each["name"] for each in described["outputs"]] == ["twice", "sum"]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("datatype", ["FP64", "FP32", "INT32", "FP16"])
def test_columns_are_scored(client: InferenceServerClient, datatype: str, *, binary: bool) -> None:
    inputs = [
        given("miles", [[100], [600]], datatype, binary=binary),
        given("carrier", [["AA"], ["UA"]], "BYTES", binary=binary),
    ]
    wanted = [InferRequestedOutput("score", binary_data=binary)]
    result = client.infer("late", inputs, outputs=wanted, request_id="r1")
    assert result.as_numpy("score").tolist() == [tree_score(-1.0), tree_score(3.0)]
    assert (result.get_response()["id"], result.get_response()["model_version"]) == ("r1", "1")


@pytest.mark.parametrize("binary", [True, False])
def test_tensors_are_run(client: InferenceServerClient, *, binary: bool) -> None:
    pixels = np.arange(12).reshape(2, 2, 3)
    inputs = [given("pixels", pixels, "FP32", binary=binary)]
    result = client.infer("doubling", inputs)  # asks for all outputs as bytes
    assert result.as_numpy("twice").tolist() == (pixels * 2).tolist()
    assert result.as_numpy("sum").ravel().tolist() == [15.0, 51.0]
    only = client.infer("doubling", inputs, outputs=[InferRequestedOutput("sum", binary_data=binary)])
    assert only.as_numpy("sum").tolist() == [[15.0], [51.0]]
    assert only.as_numpy("twice") is None


def test_answers_come_out_of_order_to_whom_they_belong(client: InferenceServerClient) -> None:
    asked = [
        client.async_infer("doubling", [given("pixels", np.full((1, 2, 3), n), "FP32", binary=True)])
        for n in range(20)
    ]
    assert [each.get_result().as_numpy("sum")[0][0] for each in asked] == [6.0 * n for n in range(20)]


@pytest.mark.parametrize(
    ("model", "inputs", "said"),
    [
        ("early", [given("miles", [1], "FP64", binary=True)], "early"),
        ("late", [given("miles", [1], "FP64", binary=True)], "'carrier' must be a category"),
        ("doubling", [given("pixels", np.zeros((1, 2, 4)), "FP32", binary=True)], r"of shape \[-1, 2, 3\]"),
        ("doubling", [given("pixels", np.zeros((1, 2, 3)), "FP64", binary=True)], "of datatype FP32"),
        ("doubling", [given("pixel", np.zeros((1, 2, 3)), "FP32", binary=True)], "unknown tensor 'pixel'"),
    ],
)
def test_what_does_not_fit_is_told_to_the_client(
    client: InferenceServerClient, model: str, inputs: list[InferInput], said: str
) -> None:
    with pytest.raises(InferenceServerException, match=said):
        client.infer(model, inputs)


def test_a_batch_of_no_rows_has_no_answers(client: InferenceServerClient) -> None:
    result = client.infer("doubling", [given("pixels", np.zeros((0, 2, 3)), "FP32", binary=True)])
    assert result.as_numpy("twice").shape == (0, 2, 3)
