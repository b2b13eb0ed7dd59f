from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.contracts.runtime import RuntimeContract
from tests.contracts.tensor_runtime import TensorRuntimeContract
from tests.serving.runtimes.networks import Classifier, Reader, exported

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature
from esteira.serving.runtimes import open_runtime, open_tensor_runtime
from esteira.serving.runtimes.payloads import tensors_of, torch_files
from esteira.serving.runtimes.program import PROGRAM, WEIGHTS

torch = pytest.importorskip("torch", reason="no build of torch without CUDA could be installed")
pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNATURE = Signature(tuple(Column(f"x{n}", optional=True) for n in range(5)), "late")


@cache
def network() -> Any:
    return Classifier()


@cache
def columns() -> Model:
    files = torch_files(exported(network(), torch.zeros(3, 5)))
    return Model("torch", SIGNATURE, files)


@cache
def reader() -> tuple[Any, Model]:
    module = Reader()
    program = exported(module, torch.zeros(2, 1, 8, 8), torch.zeros(2, 4, dtype=torch.int64))
    files = torch_files(program)
    return module, Model("torch", Signature((), "late"), files, tensors=tensors_of("torch", files))


class TestColumns(RuntimeContract):
    rtol, atol = 1e-4, 1e-6
    is_exact = False

    def model(self) -> Model:
        return columns()

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        with torch.no_grad():
            return np.asarray(network()(torch.from_numpy(matrix.astype(np.float32))), dtype=np.float64)

    def test_the_runtime_says_whether_it_is_exact(self) -> None:
        assert self.open().is_exact in {True, False}  # as the kernels of this machine are

    def test_scores_are_one_finite_number_per_row(self) -> None:
        scores = self.open().predict(self.matrix(50))
        assert scores.shape == (50,)
        assert ((scores >= 0) & (scores <= 1)).all()  # a float32 can be sure

    def test_a_matrix_in_another_layout_scores_the_same(self) -> None:
        runtime, matrix = self.open(), self.matrix(40)
        np.testing.assert_array_equal(runtime.predict(np.asfortranarray(matrix)), runtime.predict(matrix))


class TestReader(TensorRuntimeContract):
    def model(self) -> Model:
        return reader()[1]

    def inputs(self, rows: int) -> dict[str, NDArray[Any]]:
        drawn = np.random.default_rng(rows)
        picture = drawn.normal(size=(rows, 1, 8, 8)).astype(np.float32)
        return {"picture": picture, "words": drawn.integers(0, 10, (rows, 4))}

    def outputs_of_the_library(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with torch.no_grad():
            found = reader()[0](*(torch.from_numpy(each) for each in inputs.values()))
        return {name: np.asarray(each) for name, each in found.items()}


def changed(**change: Any) -> Model:
    program = json.loads(columns().files[PROGRAM])
    program["nodes"][0] |= change
    return replace(columns(), files={**columns().files, PROGRAM: json.dumps(program).encode()})


@pytest.mark.parametrize(
    "operator",
    [
        "os.system",
        "torch.load",
        "aten.from_file.default",
        "aten.sparse_coo_tensor.indices_size",
        "aten.to_sparse.default",
        "aten.resize.default",
        "aten.manual_seed.default",
        "aten.save.default",
        "aten.empty.memory_format",
        "aten.add_.Tensor",
        "aten.rand.default",
        "aten.as_strided.default",
        "aten._cudnn_init_dropout_state.default",
        "aten.__class__.__init__",
        "prims.add.default",
        "sin",
        "",
    ],
)
def test_an_operator_that_does_more_than_compute_is_never_called(operator: str) -> None:
    with pytest.raises(BadInput, match="is not served"):
        open_runtime(changed(operator=operator))


@pytest.mark.parametrize(
    "mark",
    [
        {"layout": "sparse_coo"},
        {"dtype": "quint8"},
        {"dtype": "load"},
        {"layout": "float32"},
        {"stranger": "x"},
        {"float": "one"},
        {},
    ],
)
def test_a_mark_that_names_no_value_is_corrupt(mark: dict[str, str]) -> None:
    with pytest.raises(CorruptArtifact):
        open_runtime(changed(args=[{"of": "x"}, mark]))


def test_weights_of_another_program_are_corrupt() -> None:
    files = {**columns().files, WEIGHTS: reader()[1].files[WEIGHTS]}
    with pytest.raises(CorruptArtifact, match="weights"):
        open_runtime(replace(columns(), files=files))


def test_a_word_that_the_model_does_not_know_is_the_callers_fault() -> None:
    inputs = TestReader().inputs(2)
    inputs["words"][:] = 99
    with pytest.raises(BadInput, match="refuses the tensors"):
        open_tensor_runtime(reader()[1]).run(inputs)


def test_a_program_of_several_outputs_is_no_model_of_columns() -> None:
    with pytest.raises(BadInput, match="3 outputs"):
        open_runtime(replace(reader()[1], tensors=None))


def test_the_model_runs_on_one_thread_and_without_a_gpu_on_the_processor() -> None:
    runtime = open_runtime(replace(columns(), facts={"device": "cuda"}))
    assert torch.get_num_threads() == 1
    assert runtime.device == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("pow", (10, 3_000_000)), ("mul", ([0], 10)), ("mod", ("%9d", 5)), ("add", (2**70, 1))],
)
def test_sizes_are_computed_of_sizes_only_and_end(name: str, sizes: tuple[Any, ...]) -> None:
    from esteira.serving.runtimes.torch import operator_of

    with pytest.raises(BadInput, match="no size"):
        operator_of(name)(*sizes)
    assert operator_of("mul")(3, 4) == 12
    assert operator_of("pow")(2, 10) == 1024
