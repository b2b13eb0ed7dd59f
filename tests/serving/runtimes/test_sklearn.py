from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
from tests.contracts.runtime import RuntimeContract

from esteira.base.errors import CorruptArtifact
from esteira.registry.bundle import SKOPS_TYPES, Model
from esteira.registry.signature import Column, Signature
from esteira.serving.runtimes import open_runtime
from esteira.serving.runtimes.sklearn import ValuesRefused, sklearn_files

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


@cache
def forest() -> Model:
    return stored(RandomForestClassifier(8, max_depth=5, n_jobs=2, min_samples_leaf=20, random_state=0))


@cache
def boosted_regressor() -> Model:
    return stored(HistGradientBoostingRegressor(max_iter=3))


@cache
def linear_regressor() -> Model:
    return stored(make_pipeline(SimpleImputer(), StandardScaler(), Ridge()))


@cache
def served(kind: type[RuntimeContract]) -> Any:
    return open_runtime(kind().model())


class Served(RuntimeContract):
    """Opened once for all tests: a model of scikit-learn is tried when it is loaded."""

    def open(self) -> Any:
        return served(type(self))


class TestLinearPipeline(Served):
    def model(self) -> Model:
        return linear()

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        classifier = skops.io.loads(linear().files["model.skops"], trusted=["numpy.dtype"])
        return np.asarray(classifier.predict_proba(matrix)[:, 1])


class TestOtherClassifier(Served):
    def model(self) -> Model:
        return crossed()

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        content = crossed().files["model.skops"]
        trusted = skops.io.get_untrusted_types(data=content)
        return np.asarray(skops.io.loads(content, trusted=trusted).predict_proba(matrix)[:, 1])


class TestForest(TestOtherClassifier):
    def model(self) -> Model:
        return forest()

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        content = self.model().files["model.skops"]
        return np.asarray(skops.io.loads(content, trusted=[*SKOPS_TYPES]).predict_proba(matrix)[:, 1])


class TestTreesOfARegressor(Served):
    is_probability = False

    def model(self) -> Model:
        return boosted_regressor()

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        content = self.model().files["model.skops"]
        return np.asarray(skops.io.loads(content, trusted=[*SKOPS_TYPES]).predict(matrix))


class TestLinearRegressor(TestTreesOfARegressor):
    def model(self) -> Model:
        return linear_regressor()


class Stranger(ClassifierMixin, BaseEstimator):
    """An estimator that is not scikit-learn's: loading it would run its code."""

    def fit(self, matrix: Any, labels: Any) -> Stranger:
        self.classes_ = np.unique(labels)
        return self


def test_a_type_that_is_not_scikit_learns_is_refused_by_name() -> None:
    with pytest.raises(CorruptArtifact, match="Stranger"):
        open_runtime(stored(Stranger()))


def test_a_model_that_is_no_classifier_and_no_regressor_is_refused() -> None:
    with pytest.raises(CorruptArtifact, match="classifier of two classes"):
        open_runtime(stored(make_pipeline(SimpleImputer(), StandardScaler())))


def test_a_classifier_of_three_classes_and_a_regressor_of_two_numbers_are_refused() -> None:
    matrix, labels = examples()
    filled = np.nan_to_num(matrix)
    three = LogisticRegression().fit(filled, np.arange(400) % 3)
    two = LinearRegression().fit(filled, np.column_stack([labels, labels]))
    for estimator, expected in ((three, "two classes"), (two, "one score per row")):
        files = {"model.skops": skops.io.dumps(estimator)}
        with pytest.raises(CorruptArtifact, match=expected):
            open_runtime(Model("sklearn", SIGNATURE, files))


def test_a_batch_of_trees_is_asked_at_once_and_on_one_thread() -> None:
    runtime = open_runtime(forest())
    assert runtime._is_batched
    assert runtime._library._ask.n_jobs == 1


def test_a_model_that_takes_nothing_missing_says_so_to_the_caller() -> None:
    matrix, labels = examples()
    classifier = GaussianNB().fit(np.nan_to_num(matrix), labels)
    runtime = open_runtime(Model("sklearn", SIGNATURE, {"model.skops": skops.io.dumps(classifier)}))
    assert 0 <= runtime.predict_row([0.0] * 5) <= 1
    with pytest.raises(ValuesRefused, match="NaN"):
        runtime.predict_row([np.nan, 0.0, 0.0, 0.0, 0.0])
    with pytest.raises(ValuesRefused, match="NaN"):
        runtime.predict(matrix)


def test_scores_far_from_one_half_do_not_overflow() -> None:
    runtime = open_runtime(linear())
    assert 0 <= runtime.predict_row([-1e8, 0.0, 0.0, 0.0, 0.0]) < 1e-12
    assert 1 - 1e-12 < runtime.predict_row([1e8, 0.0, 0.0, 0.0, 0.0]) <= 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("estimators_features_", [np.array([99])] * 3),
        ("estimators_features_", 7),
        ("estimators_", None),
        ("classes_", 2.5),
        ("n_jobs", "many"),
        ("n_features_in_", None),
    ],
)
def test_an_estimator_that_breaks_on_its_rows_is_corrupt(name: str, value: object) -> None:
    matrix, labels = examples()
    bagged = BaggingClassifier(n_estimators=3).fit(np.nan_to_num(matrix), labels)
    setattr(bagged, name, value)
    with pytest.raises(CorruptArtifact, match=r"model\.skops"):
        open_runtime(Model("sklearn", SIGNATURE, {"model.skops": skops.io.dumps(bagged)}))


def test_a_sum_whose_steps_lack_what_they_learned_is_corrupt() -> None:
    pipeline = make_pipeline(SimpleImputer(), LogisticRegression()).fit(*examples())
    del pipeline[0].statistics_
    with pytest.raises(CorruptArtifact, match=r"model\.skops"):
        sklearn_files(skops.io.dumps(pipeline))


def test_a_row_that_breaks_an_estimator_later_is_refused() -> None:
    runtime = open_runtime(forest())
    runtime._library._ask.estimators_ = None
    with pytest.raises(ValuesRefused, match="the model refuses the row"):
        runtime.predict_row([0.0] * 5)


def test_a_pickle_in_the_place_of_a_model_is_not_loaded() -> None:
    bomb = b"cos\nsystem\n(S'exit 7'\ntR."  # what unpickling would run
    with pytest.raises(CorruptArtifact, match="skops"):
        open_runtime(Model("sklearn", SIGNATURE, {"model.skops": bomb}))
