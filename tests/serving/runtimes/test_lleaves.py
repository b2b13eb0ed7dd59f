from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
import pytest
from tests.contracts.runtime import RuntimeContract

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature
from esteira.serving.runtimes import open_runtime
from esteira.serving.runtimes.lleaves import NotCompilable

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNATURE = Signature(
    (*(Column(f"x{n}", optional=True) for n in range(6)), Column("c", "category", ("a", "b", "d"))), "late"
)


@cache
def trained(objective: str = "binary", **more: Any) -> Model:
    drawn = np.random.default_rng(0)
    matrix = drawn.normal(scale=3, size=(600, 7))
    matrix[:, 6] = drawn.integers(0, 3, 600)
    matrix[drawn.random(matrix.shape) < 0.1] = np.nan
    labels = np.nan_to_num(matrix[:, 0]) + drawn.normal(size=600)
    if objective in {"binary", "multiclass"}:
        labels = (labels > 0).astype(float)
    parameters = {
        "objective": objective,
        "verbosity": -1,
        "num_threads": 1,
        "seed": 0,
        "num_leaves": 15,
        **more,
    }
    booster = lightgbm.train(parameters, lightgbm.Dataset(matrix, labels, categorical_feature=[6]), 30)
    return Model("lleaves", SIGNATURE, {"model.txt": booster.model_to_string().encode()})


@cache
def served(kind: type[RuntimeContract]) -> Any:
    return open_runtime(kind().model())


class TestLleavesRuntime(RuntimeContract):
    def model(self) -> Model:
        return trained()

    def open(self) -> Any:
        return served(type(self))  # compiled once for all tests

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        booster = lightgbm.Booster(model_str=self.model().files["model.txt"].decode())
        return np.asarray(booster.predict(matrix, num_threads=1))


class TestRegressor(TestLleavesRuntime):
    is_probability = False

    def model(self) -> Model:
        return trained("regression")


def test_scores_are_those_of_lightgbm_to_the_bit() -> None:
    matrix = TestLleavesRuntime().matrix(300)
    own = open_runtime(Model("lightgbm", SIGNATURE, trained().files))
    assert served(TestLleavesRuntime).predict(matrix).tolist() == own.predict(matrix).tolist()


def test_a_matrix_of_other_columns_is_refused_before_memory_is_read() -> None:
    with pytest.raises(BadInput, match="7 columns"):
        served(TestLleavesRuntime).predict(np.zeros((3, 6)))


def test_a_model_of_several_scores_per_row_is_refused() -> None:
    with pytest.raises(CorruptArtifact, match="one score per row"):
        open_runtime(trained("multiclass", num_class=3))


def test_linear_trees_are_refused_with_the_runtime_that_knows_them() -> None:
    with pytest.raises(NotCompilable, match="linear trees"):
        open_runtime(trained("regression", linear_tree=True))


def test_what_lleaves_does_not_know_is_refused_with_the_runtime_that_does() -> None:
    text = trained().files["model.txt"].replace(b"objective=binary sigmoid:1", b"objective=binary")
    with pytest.raises(NotCompilable, match="use runtime 'lightgbm'"):
        open_runtime(Model("lleaves", SIGNATURE, {"model.txt": text}))
