from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import weakref
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xgboost
from tests.contracts.runtime import RuntimeContract

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNATURE = Signature(
    (*(Column(f"x{n}", optional=True) for n in range(6)), Column("c", "category", ("a", "b", "d"))), "late"
)
TYPES = ["q"] * 6 + ["c"]


def trained(objective: str, form: str, **parameters: Any) -> Model:
    drawn = np.random.default_rng(0)
    matrix = drawn.normal(scale=3, size=(600, 7))
    matrix[:, 6] = drawn.integers(0, 3, 600)
    matrix[drawn.random(matrix.shape) < 0.1] = np.nan
    labels = np.nan_to_num(matrix[:, 0]) + drawn.normal(size=600)
    if ":logi" in objective or objective.startswith(("binary", "multi")):
        labels = (labels > 0).astype(float)
    table = xgboost.DMatrix(matrix, labels, feature_types=TYPES, enable_categorical=True)
    booster = xgboost.train({"objective": objective, "nthread": 1, "seed": 0, **parameters}, table, 30)
    name = "booster.json" if form == "json" else "model.ubj"
    return Model("xgboost", SIGNATURE, {name: bytes(booster.save_raw(form))})


@cache
def classifier(form: str = "ubj") -> Model:
    return trained("binary:logistic", form)


@cache
def regressor() -> Model:
    return trained("reg:squarederror", "json")


def of_the_library(model: Model, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    booster = xgboost.Booster()
    booster.load_model(bytearray(*model.files.values()))
    table = xgboost.DMatrix(matrix, feature_types=TYPES, enable_categorical=True)
    return np.asarray(booster.predict(table), dtype=np.float64)


class TestClassifier(RuntimeContract):
    def model(self) -> Model:
        return classifier()

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return of_the_library(self.model(), matrix)


class TestRegressor(RuntimeContract):
    is_probability = False

    def model(self) -> Model:
        return regressor()

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return of_the_library(self.model(), matrix)


def test_json_and_ubj_give_the_same_bits_as_the_package() -> None:
    matrix = TestClassifier().matrix(300)
    expected = of_the_library(classifier(), matrix).tolist()
    assert open_runtime(classifier("ubj")).predict(matrix).tolist() == expected
    assert open_runtime(classifier("json")).predict(matrix).tolist() == expected


def test_dart_trees_are_served_too() -> None:
    model = trained("binary:logistic", "ubj", booster="dart", rate_drop=0.3)
    matrix = TestClassifier().matrix(50)
    np.testing.assert_allclose(open_runtime(model).predict(matrix), of_the_library(model, matrix), rtol=1e-6)


@pytest.mark.parametrize("form", ["ubj", "json"])
def test_a_file_cut_anywhere_is_refused_and_ends_no_process(form: str) -> None:
    name, content = next(iter(classifier(form).files.items()))
    for keep in [*range(0, len(content), max(len(content) // 70, 1)), len(content) - 1]:
        with pytest.raises(CorruptArtifact, match=name):
            open_runtime(Model("xgboost", SIGNATURE, {name: content[:keep]}))


@pytest.mark.parametrize(
    ("objective", "parameters"),
    [
        ("multi:softprob", {"num_class": 2}),
        ("binary:logitraw", {}),
        ("binary:hinge", {}),
        ("reg:squarederror", {"booster": "gblinear"}),
    ],
)
def test_a_model_of_other_than_one_score_per_row_is_refused(
    objective: str, parameters: dict[str, Any]
) -> None:
    if parameters.get("booster") == "gblinear":  # which takes no categories
        booster = xgboost.train(
            {"objective": objective, **parameters}, xgboost.DMatrix(np.ones((9, 7)), np.ones(9)), 1
        )
        model = Model("xgboost", SIGNATURE, {"model.ubj": bytes(booster.save_raw("ubj"))})
    else:
        model = trained(objective, "ubj", **parameters)
    with pytest.raises(BadInput, match="one score a row"):
        open_runtime(model)


def test_a_whole_document_that_is_no_model_is_corrupt() -> None:
    with pytest.raises(CorruptArtifact, match=r"booster\.json"):
        open_runtime(Model("xgboost", SIGNATURE, {"booster.json": b'{"learner": 7}'}))
    document = json.loads(classifier("json").files["booster.json"])
    document["learner"]["gradient_booster"]["model"]["trees"] = []
    broken = json.dumps(document).encode()
    with pytest.raises(CorruptArtifact, match="XGBoost can read"):
        open_runtime(Model("xgboost", SIGNATURE, {"booster.json": broken}))


def test_numbers_beyond_float32_score_as_infinite() -> None:
    runtime = open_runtime(regressor())
    row = [1e300, *[0.0] * 5, 1.0]
    assert runtime.predict_row(row) == runtime.predict_row([1e39, *[0.0] * 5, 1.0])


def test_the_library_loads_without_its_python_package_and_its_idle_threads_sleep() -> None:
    program = (
        "import os, sys\n"
        "from esteira.serving.runtimes.xgboost import XgboostRuntime, _library\n"
        "_library()\n"
        "assert not {'xgboost', 'pandas', 'scipy', 'sklearn'} & set(sys.modules)\n"
        "assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE'\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_a_model_that_nobody_holds_is_freed() -> None:
    runtime = open_runtime(classifier())
    runtime.predict_row([1.0] * 7)
    booster = weakref.ref(runtime._booster)
    del runtime
    gc.collect()
    assert booster() is None
