"""The contract, on bundles that hold their sum; and that none of it loads the library that made them."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
from tests.contracts.runtime import RuntimeContract

from esteira.base.errors import CorruptArtifact
from esteira.registry.bundle import SKOPS_TYPES, Model
from esteira.registry.encodings import Encodings, Kept
from esteira.registry.signature import Column, Signature
from esteira.registry.terms import Term, Terms
from esteira.serving.runtimes import open_runtime
from esteira.serving.runtimes.payloads import sklearn_files
from esteira.serving.runtimes.sklearn import SklearnRuntime
from esteira.serving.runtimes.terms import TermsRuntime

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NUMBERS = tuple(Column(f"x{n}", optional=True) for n in range(4))
SIGNATURE = Signature((*NUMBERS, Column("c", "category", ("a", "b", "d"))), "late")


def examples() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    drawn = np.random.default_rng(0)
    matrix = drawn.normal(scale=3, size=(400, 5))
    matrix[:, 4] = drawn.integers(0, 3, 400)
    matrix[drawn.random(matrix.shape) < 0.1] = np.nan
    return matrix, (np.nan_to_num(matrix[:, 0]) + drawn.normal(size=400) > 0).astype(np.int64)


def stored(estimator: Any) -> Model:
    return Model("sklearn", SIGNATURE, sklearn_files(skops.io.dumps(estimator.fit(*examples()))))


@cache
def classifier() -> Model:
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    texts = OneHotEncoder(handle_unknown="ignore")  # missing is a category of its own
    columns = ColumnTransformer([("n", numbers, [0, 1, 2, 3]), ("c", texts, [4])])
    return stored(make_pipeline(columns, LogisticRegression(max_iter=500)))


@cache
def regressor() -> Model:
    return stored(make_pipeline(SimpleImputer(), StandardScaler(), Ridge()))


def of_the_library(model: Model) -> Any:
    return skops.io.loads(model.files["model.skops"], trusted=[*SKOPS_TYPES])


class TestTermsOfAClassifier(RuntimeContract):
    def model(self) -> Model:
        return classifier()

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(of_the_library(self.model()).predict_proba(matrix)[:, 1])


class TestTermsOfARegressor(RuntimeContract):
    is_probability = False

    def model(self) -> Model:
        return regressor()

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(of_the_library(self.model()).predict(matrix))


def test_a_bundle_with_its_sum_is_opened_by_that_file_alone() -> None:
    model = classifier()
    assert set(model.files) == {"model.skops", "terms.json"}
    assert isinstance(open_runtime(model), TermsRuntime)
    sole = Model("sklearn", SIGNATURE, {"terms.json": model.files["terms.json"]})
    matrix = examples()[0]
    assert open_runtime(sole).predict(matrix).tolist() == open_runtime(model).predict(matrix).tolist()


@pytest.mark.parametrize("made", [classifier, regressor])
def test_a_bundle_from_before_gives_the_same_bits(made: Any) -> None:
    files = {"model.skops": made().files["model.skops"]}
    before = open_runtime(Model("sklearn", SIGNATURE, files))
    assert isinstance(before, SklearnRuntime)
    matrix = examples()[0]
    assert before.predict(matrix).tolist() == open_runtime(made()).predict(matrix).tolist()


def test_what_is_no_sum_is_stored_and_opened_as_it_always_was() -> None:
    model = stored(
        make_pipeline(
            SimpleImputer(), PolynomialFeatures(2), StandardScaler(), LogisticRegression(max_iter=500)
        )
    )
    assert set(model.files) == {"model.skops"}
    assert isinstance(open_runtime(model), SklearnRuntime)


def test_the_sum_of_another_runtime_is_only_a_file() -> None:
    files = {"model.txt": b"tree\n", "terms.json": classifier().files["terms.json"]}
    with pytest.raises(CorruptArtifact, match=r"model\.txt"):
        open_runtime(Model("lightgbm", SIGNATURE, files))


def test_equal_bytes_of_skops_give_equal_files() -> None:
    content = classifier().files["model.skops"]
    assert sklearn_files(content) == sklearn_files(content) == classifier().files


def test_scores_far_from_one_half_do_not_overflow() -> None:
    runtime = open_runtime(classifier())
    assert 0 <= runtime.predict_row([-1e8, 0.0, 0.0, 0.0, 0.0]) < 1e-12
    assert 1 - 1e-12 < runtime.predict_row([1e8, 0.0, 0.0, 0.0, 0.0]) <= 1


def test_a_sum_behind_encodings_sees_what_these_make() -> None:
    sole = {"terms.json": Terms(1, 1.0, (Term(0, fill=0.5, slope=2.0),)).to_bytes()}
    model = Model("sklearn", Signature(NUMBERS[:1], "late"), sole, {}, Encodings((Kept(),)))
    assert open_runtime(model).predict_row([3.0]) == 7.0


OPENS = """
import sys
from pathlib import Path
import numpy as np
from esteira.registry.bundle import Model
from esteira.serving.runtimes import open_runtime
runtime = open_runtime(Model.load(Path(sys.argv[1])))
assert 0 < runtime.predict_row([0.0] * 5) < 1
assert runtime.predict(np.zeros((2, 5))).shape == (2,)
print(sorted({"sklearn", "skops", "scipy", "pandas"} & set(sys.modules)))
"""


def test_opening_it_loads_neither_scikit_learn_nor_skops(tmp_path: Path) -> None:
    classifier().save(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", OPENS, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert ended.stdout.strip() == "[]"
