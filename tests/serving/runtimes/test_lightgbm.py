from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from functools import cache
from typing import TYPE_CHECKING

import lightgbm
import numpy as np
import pytest
from tests.contracts.runtime import RuntimeContract
from tests.serving.worlds import PLAIN, tree_model, tree_score, tree_text

from esteira.base.errors import CorruptArtifact
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNATURE = Signature(
    (*(Column(f"x{n}", optional=True) for n in range(6)), Column("c", "category", ("a", "b", "d"))), "late"
)


@cache
def trained(classes: int = 2) -> Model:
    drawn = np.random.default_rng(0)
    matrix = drawn.normal(scale=3, size=(600, 7))
    matrix[:, 6] = drawn.integers(0, 3, 600)
    matrix[drawn.random(matrix.shape) < 0.1] = np.nan
    labels = (np.nan_to_num(matrix[:, 0]) + drawn.normal(size=600) > 0).astype(int) + (classes - 2)
    objective = {"objective": "binary"} if classes == 2 else {"objective": "multiclass", "num_class": classes}
    parameters = {**objective, "verbosity": -1, "num_threads": 1, "seed": 0}
    booster = lightgbm.train(parameters, lightgbm.Dataset(matrix, labels, categorical_feature=[6]), 30)
    return Model("lightgbm", SIGNATURE, {"model.txt": booster.model_to_string().encode()})


class TestLightgbmRuntime(RuntimeContract):
    def model(self) -> Model:
        return trained()

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        booster = lightgbm.Booster(model_str=trained().files["model.txt"].decode())
        return np.asarray(booster.predict(matrix, num_threads=1))


def test_scores_are_those_of_the_package_to_the_bit() -> None:
    matrix = TestLightgbmRuntime().matrix(300)
    expected = TestLightgbmRuntime().scores_of_the_library(matrix)
    assert open_runtime(trained()).predict(matrix).tolist() == expected.tolist()


@pytest.mark.parametrize("keep", range(0, 1000, 37))
def test_a_text_cut_anywhere_is_refused_and_ends_no_process(keep: int) -> None:
    text = trained().files["model.txt"]
    cut = text[: text.index(b"end of trees") * keep // 1000]
    with pytest.raises(CorruptArtifact, match=r"model\.txt"):
        open_runtime(Model("lightgbm", SIGNATURE, {"model.txt": cut}))


def test_a_model_of_several_scores_per_row_is_refused() -> None:
    with pytest.raises(CorruptArtifact, match="one score per row"):
        open_runtime(trained(classes=3))


def test_the_library_loads_without_its_python_package_and_its_idle_threads_sleep() -> None:
    program = (
        "import os, sys\n"
        "from tests.serving.worlds import tree_model\n"
        "from esteira.serving.runtimes import open_runtime\n"
        "print(open_runtime(tree_model(-1.0)).predict_row([100.0, 0.0, 0.0]))\n"
        "assert not {'lightgbm', 'pandas', 'scipy', 'sklearn'} & set(sys.modules)\n"
        "assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE'\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, str(tree_score(-1.0))), ended.stderr


def test_a_model_that_nobody_holds_is_freed() -> None:
    runtime = open_runtime(tree_model(-1.0))
    runtime.predict_row([1.0, 0.0, 0.0])
    booster = weakref.ref(runtime._booster)
    fast = weakref.ref(runtime._local.fast)
    del runtime
    gc.collect()
    assert booster() is None
    assert fast() is None


def test_the_tiny_model_of_the_tests_says_what_it_should() -> None:
    assert tree_text(-1.0, len(PLAIN.columns)).count(b"Tree=") == 1
    runtime = open_runtime(tree_model(-1.0))
    assert runtime.predict_row([500.0, 0.0, 0.0]) == tree_score(-1.0)
    assert runtime.predict_row([501.0, 0.0, 0.0]) == tree_score(3.0)
