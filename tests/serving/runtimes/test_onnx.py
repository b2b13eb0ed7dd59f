from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.contracts.runtime import RuntimeContract
from tests.contracts.tensor_runtime import TensorRuntimeContract

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature
from esteira.serving.runtimes import open_runtime, open_tensor_runtime
from esteira.serving.runtimes.onnx import FilesOutside, NoScore, OwnFormat, tensors_of_onnx

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIGNATURE = Signature(tuple(Column(f"x{n}", optional=True) for n in range(5)), "late")
NO_COLUMNS = Signature((), "late")


@cache
def examples() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    drawn = np.random.default_rng(0)
    matrix = drawn.normal(scale=3, size=(400, 5))
    return matrix, (matrix[:, 0] + drawn.normal(size=400) > 0).astype(np.int64)


def converted(estimator: Any, dtype: type = np.float32, **options: Any) -> Model:
    matrix, labels = examples()
    made = to_onnx(estimator.fit(matrix, labels), matrix[:1].astype(dtype), options=options or None)
    return Model("onnx", SIGNATURE, {"model.onnx": made.SerializeToString()})


@cache
def forest() -> Model:
    return converted(RandomForestClassifier(12, max_depth=5, random_state=0), zipmap=False)


@cache
def linear(dtype: type = np.float32) -> Model:
    return converted(make_pipeline(StandardScaler(), LogisticRegression()), dtype, zipmap=False)


@cache
def regression() -> Model:
    return converted(make_pipeline(StandardScaler(), LinearRegression()), np.float64)


def of_the_library(model: Model, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    session = onnxruntime.InferenceSession(model.files["model.onnx"], providers=["CPUExecutionProvider"])
    asked = session.get_inputs()[0]
    dtype = np.float32 if asked.type == "tensor(float)" else np.float64
    found = session.run(None, {asked.name: matrix.astype(dtype)})[-1]
    return np.asarray(found[:, -1], dtype=np.float64)


class TestForest(RuntimeContract):
    rtol, atol = 1e-6, 1e-7

    def model(self) -> Model:
        return forest()

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return of_the_library(self.model(), matrix)

    def test_scores_are_one_finite_number_per_row(self) -> None:
        scores = self.open().predict(self.matrix(50))
        assert scores.shape == (50,)
        assert ((scores >= 0) & (scores <= 1)).all()  # a forest can be sure


class TestLinear(TestForest):
    rtol, atol = 1e-4, 1e-6
    takes_missing = False

    def model(self) -> Model:
        return linear()


class TestLinearInFloat64(TestForest):
    rtol, atol = 1e-12, 1e-15
    takes_missing = False

    def model(self) -> Model:
        return linear(np.float64)


class TestRegression(RuntimeContract):
    is_probability = takes_missing = False
    rtol = 1e-12

    def model(self) -> Model:
        return regression()

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return of_the_library(self.model(), matrix)


def graph_model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    initializers: list[TensorProto] | None = None,
) -> dict[str, bytes]:
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers or [])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return {"model.onnx": made.SerializeToString()}


def value(name: str, kind: int, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


@cache
def pictures() -> Model:
    drawn = np.random.default_rng(1)
    weights = drawn.normal(size=(12, 3)).astype(np.float32)
    table = drawn.normal(size=(10, 3)).astype(np.float32)
    files = graph_model(
        [
            helper.make_node("Flatten", ["pixels"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["seen"]),
            helper.make_node("Gather", ["table", "word"], ["meant"]),
            helper.make_node("Add", ["seen", "meant"], ["sum"]),
            helper.make_node("Softmax", ["sum"], ["probabilities"], axis=-1),
            helper.make_node("ArgMax", ["sum"], ["label"], axis=-1, keepdims=0),
        ],
        [value("pixels", TensorProto.FLOAT, "n", 3, 4), value("word", TensorProto.INT64, "n")],
        [value("probabilities", TensorProto.FLOAT, "n", 3), value("label", TensorProto.INT64, "n")],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(table, "table")],
    )
    return Model("onnx", NO_COLUMNS, files, tensors=tensors_of_onnx(files))


class TestPictures(TensorRuntimeContract):
    def model(self) -> Model:
        return pictures()

    def inputs(self, rows: int) -> dict[str, NDArray[Any]]:
        drawn = np.random.default_rng(rows)
        pixels = drawn.normal(size=(rows, 3, 4)).astype(np.float32)
        return {"pixels": pixels, "word": drawn.integers(0, 10, rows)}

    def outputs_of_the_library(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        session = onnxruntime.InferenceSession(pictures().files["model.onnx"])
        names = [each.name for each in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))


def test_an_index_out_of_range_is_the_callers_fault_and_tells_nothing_of_the_machine() -> None:
    inputs = TestPictures().inputs(2)
    inputs["word"][:] = 99
    with pytest.raises(BadInput, match="refuses the tensors") as refused:
        open_tensor_runtime(pictures()).run(inputs)
    assert "/" not in str(refused.value).replace("and/or", "")


def test_texts_go_in_and_come_out_as_objects() -> None:
    files = graph_model(
        [helper.make_node("Identity", ["said"], ["heard"])],
        [value("said", TensorProto.STRING, "n")],
        [value("heard", TensorProto.STRING, "n")],
    )
    runtime = open_tensor_runtime(Model("onnx", NO_COLUMNS, files, tensors=tensors_of_onnx(files)))
    assert runtime.run({"said": np.array(["olá", ""], dtype=object)})["heard"].tolist() == ["olá", ""]


def test_a_model_with_zipmap_is_refused_with_the_mend() -> None:
    with pytest.raises(BadInput, match="zipmap"):
        open_runtime(converted(LogisticRegression()))


def test_a_model_whose_weights_stand_outside_is_refused_before_a_file_is_opened() -> None:
    weights = numpy_helper.from_array(np.ones((5, 1), dtype=np.float32), "weights")
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", "../../../etc/hostname"
    files = graph_model(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        [value("x", TensorProto.FLOAT, "n", 5)],
        [value("y", TensorProto.FLOAT, "n", 1)],
        [weights],
    )
    with pytest.raises(FilesOutside, match="etc/hostname"):
        open_runtime(Model("onnx", SIGNATURE, files))
    with pytest.raises(FilesOutside):
        tensors_of_onnx(files)


@pytest.mark.parametrize(
    ("node", "shape", "mend"),
    [
        (helper.make_node("Identity", ["x"], ["y"]), ("n", 5), r"\[2, 5\]"),
        (helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0), (), "for two rows"),
    ],
)
def test_a_graph_that_says_no_score_a_row_is_refused(
    node: onnx.NodeProto, shape: tuple[int | str, ...], mend: str
) -> None:
    files = graph_model(
        [node], [value("x", TensorProto.FLOAT, "n", 5)], [value("y", TensorProto.FLOAT, *shape)]
    )
    with pytest.raises(NoScore, match=mend):
        open_runtime(Model("onnx", SIGNATURE, files))


def test_a_graph_for_one_row_only_is_refused_as_a_model_of_columns() -> None:
    files = graph_model(
        [helper.make_node("ReduceSum", ["x"], ["y"])],
        [value("x", TensorProto.FLOAT, 1, 5)],
        [value("y", TensorProto.FLOAT, 1, 1)],
    )
    with pytest.raises(BadInput, match="first dimension of any length"):
        open_runtime(Model("onnx", SIGNATURE, files))


def test_numbers_beyond_float32_score_alike_alone_and_in_a_batch() -> None:
    runtime = open_runtime(forest())
    row = [1e300, -1e300, 0.0, 1.0, 2.0]
    assert runtime.predict_row(row) == runtime.predict(np.array([row]))[0]


def test_files_that_are_no_graph_are_corrupt_with_the_librarys_reason() -> None:
    with pytest.raises(CorruptArtifact, match="ONNX Runtime can read"):
        open_runtime(replace(forest(), files={"model.onnx": b"\x08\x08"}))


def test_the_format_that_onnx_runtime_keeps_for_itself_is_refused(tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(forest().files["model.onnx"], options)
    files = {"model.onnx": (tmp_path / "model.ort").read_bytes()}
    with pytest.raises(OwnFormat, match="made from"):
        open_runtime(replace(forest(), files=files))
    with pytest.raises(OwnFormat):
        tensors_of_onnx(files)


def test_the_bytes_do_not_choose_how_they_are_read() -> None:
    options = open_runtime(forest())._session.get_session_options()
    assert options.get_session_config_entry("session.load_model_format") == "ONNX"
