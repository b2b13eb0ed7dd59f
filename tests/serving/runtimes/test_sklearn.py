from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
from tests.contracts.runtime import RuntimeContract

from esteira.base.errors import CorruptArtifact
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNATURE = Signature(
    (*(Column(f"x{n}", optional=True) for n in range(4)), Column("c", "category", ("a", "b", "d"))), "late"
)


def examples() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    drawn = np.random.default_rng(0)
    matrix = drawn.normal(scale=3, size=(400, 5))
    matrix[:, 4] = drawn.integers(0, 3, 400)
    matrix[drawn.random(matrix.shape) < 0.1] = np.nan
    return matrix, (np.nan_to_num(matrix[:, 0]) + drawn.normal(size=400) > 0).astype(np.int64)


def stored(classifier: Any) -> Model:
    return Model("sklearn", SIGNATURE, {"model.skops": skops.io.dumps(classifier.fit(*examples()))})


@cache
def linear() -> Model:
    codes = [np.arange(-1.0, 3.0)]
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    marked = SimpleImputer(strategy="constant", fill_value=-1.0)
    texts = make_pipeline(marked, OneHotEncoder(categories=codes, handle_unknown="ignore"))
    columns = ColumnTransformer([("n", numbers, [0, 1, 2, 3]), ("c", texts, [4])])
    return stored(make_pipeline(columns, LogisticRegression(max_iter=500)))


@cache
def crossed() -> Model:
    steps = SimpleImputer(), PolynomialFeatures(2), StandardScaler(), LogisticRegression(max_iter=500)
    return stored(make_pipeline(*steps))


class TestLinearPipeline(RuntimeContract):
    def model(self) -> Model:
        return linear()

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        classifier = skops.io.loads(linear().files["model.skops"], trusted=["numpy.dtype"])
        return np.asarray(classifier.predict_proba(matrix)[:, 1])


class TestOtherClassifier(RuntimeContract):
    def model(self) -> Model:
        return crossed()

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        content = crossed().files["model.skops"]
        trusted = skops.io.get_untrusted_types(data=content)
        return np.asarray(skops.io.loads(content, trusted=trusted).predict_proba(matrix)[:, 1])


class Stranger(ClassifierMixin, BaseEstimator):
    """An estimator that is not scikit-learn's: loading it would run its code."""

    def fit(self, matrix: Any, labels: Any) -> Stranger:
        self.classes_ = np.unique(labels)
        return self


def test_a_type_that_is_not_scikit_learns_is_refused_by_name() -> None:
    with pytest.raises(CorruptArtifact, match="Stranger"):
        open_runtime(stored(Stranger()))


def test_a_model_that_is_no_classifier_is_refused() -> None:
    with pytest.raises(CorruptArtifact, match="classifier of two classes"):
        open_runtime(stored(make_pipeline(SimpleImputer(), LinearRegression())))


def test_scores_far_from_one_half_do_not_overflow() -> None:
    runtime = open_runtime(linear())
    assert 0 <= runtime.predict_row([-1e8, 0.0, 0.0, 0.0, 0.0]) < 1e-12
    assert 1 - 1e-12 < runtime.predict_row([1e8, 0.0, 0.0, 0.0, 0.0]) <= 1


def test_a_pickle_in_the_place_of_a_model_is_not_loaded() -> None:
    bomb = b"cos\nsystem\n(S'exit 7'\ntR."  # what unpickling would run
    with pytest.raises(CorruptArtifact, match="skops"):
        open_runtime(Model("sklearn", SIGNATURE, {"model.skops": bomb}))
