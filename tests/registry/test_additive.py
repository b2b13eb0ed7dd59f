from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)

from esteira.base.errors import BadInput
from esteira.registry.additive import NotAdditive, additive_terms, agreed_terms

MATRIX = np.array([[1.0, 0.0, 5.0], [2.0, 1.0, 3.0], [np.nan, 2.0, 4.0], [4.0, 0.0, 9.0], [0.0, 1.0, 8.0]])
LABELS = np.array([0, 1, 0, 1, 1])
FILLED = np.nan_to_num(MATRIX)


def fitted(*steps: Any, matrix: Any = MATRIX) -> Any:
    return make_pipeline(*steps, LogisticRegression()).fit(matrix, LABELS)


def log_odds(classifier: Any, row: list[float]) -> float:
    found = additive_terms(classifier)
    return sum((term.of_value(row[term.column]) for term in found.terms), found.intercept)


def columns(*parts: Any, **options: Any) -> ColumnTransformer:
    return ColumnTransformer([(str(at), *part) for at, part in enumerate(parts)], **options)


MASK = np.array([False, True, False])


@pytest.mark.parametrize(
    "steps",
    [
        (SimpleImputer(),),
        (SimpleImputer(strategy="median", add_indicator=True), StandardScaler()),
        (SimpleImputer(), StandardScaler(with_mean=False)),
        (SimpleImputer(), StandardScaler(with_std=False), "passthrough"),
        (OneHotEncoder(handle_unknown="ignore"),),
        (SimpleImputer(strategy="constant", fill_value=-1.0), OneHotEncoder(handle_unknown="ignore")),
        (SimpleImputer(), FunctionTransformer()),
        (columns((SimpleImputer(), [0]), (OneHotEncoder(), [1]), remainder="passthrough"),),
        (columns((SimpleImputer(), slice(0, 2)), ("drop", [2])),),
        (columns((SimpleImputer(), [2, 0]), (OneHotEncoder(), MASK)),),
        (columns((OneHotEncoder(), [1]), (OneHotEncoder(), [1]), (SimpleImputer(), [0])),),
        (columns((SimpleImputer(), [0, 1]), (make_pipeline(SimpleImputer(), OneHotEncoder()), [])),),
    ],
)
def test_a_known_pipeline_is_the_sum_of_its_terms(steps: tuple[Any, ...]) -> None:
    classifier = fitted(*steps)
    for row, expected in zip(MATRIX.tolist(), classifier.decision_function(MATRIX), strict=True):
        assert math.isclose(log_odds(classifier, row), expected, rel_tol=1e-12, abs_tol=1e-12)


def test_a_category_that_training_never_saw_adds_nothing() -> None:
    classifier = fitted(OneHotEncoder(handle_unknown="ignore"))
    row = [99.0, 1.0, 5.0]
    assert math.isclose(log_odds(classifier, row), classifier.decision_function([row])[0], rel_tol=1e-12)


@pytest.mark.parametrize(
    "steps",
    [
        (MinMaxScaler(),),
        (FunctionTransformer(np.nan_to_num),),
        (OneHotEncoder(drop="first"),),
        (OneHotEncoder(max_categories=2),),
        (StandardScaler(), StandardScaler()),
        (SimpleImputer(missing_values=0.0),),
        (StandardScaler(), SimpleImputer()),
        (OneHotEncoder(sparse_output=False), StandardScaler()),
        (OneHotEncoder(sparse_output=False), OneHotEncoder()),
        (columns((SimpleImputer(), [0]), transformer_weights={"0": 2.0}),),
    ],
)
def test_a_pipeline_that_is_not_known_is_not_guessed_at(steps: tuple[Any, ...]) -> None:
    with pytest.raises(NotAdditive):
        additive_terms(fitted(*steps, matrix=FILLED))


@pytest.mark.parametrize("regression", [LinearRegression(), Ridge(), Lasso(0.01)])
def test_a_pipeline_to_a_linear_regression_is_the_sum_of_its_terms(regression: Any) -> None:
    regressor = make_pipeline(SimpleImputer(), StandardScaler(), regression).fit(MATRIX, LABELS)
    for row, expected in zip(MATRIX.tolist(), regressor.predict(MATRIX), strict=True):
        assert math.isclose(log_odds(regressor, row), expected, rel_tol=1e-12, abs_tol=1e-12)


def test_a_regression_of_several_targets_is_not_guessed_at() -> None:
    regressor = make_pipeline(SimpleImputer(), LinearRegression())
    with pytest.raises(NotAdditive, match="several targets"):
        additive_terms(regressor.fit(FILLED, FILLED[:, :2]))


@pytest.mark.parametrize("classifier", [LogisticRegression(), make_pipeline(SimpleImputer(), GaussianNB())])
def test_what_is_no_pipeline_to_such_a_regression_is_not_guessed_at(classifier: Any) -> None:
    with pytest.raises(NotAdditive):
        additive_terms(classifier.fit(FILLED, LABELS))


@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
def test_a_column_that_was_empty_in_training_is_left_out() -> None:
    matrix = np.column_stack([FILLED, np.full(5, np.nan)])
    classifier = fitted(SimpleImputer(), StandardScaler(), matrix=matrix)
    assert [term.column for term in additive_terms(classifier).terms] == [0, 1, 2]


def test_a_classifier_is_told_from_a_regressor() -> None:
    regressor = make_pipeline(SimpleImputer(), Ridge()).fit(MATRIX, LABELS)
    classifier = fitted(SimpleImputer())
    assert [additive_terms(each).is_logistic for each in (classifier, regressor)] == [True, False]
    assert additive_terms(classifier).columns == 3


def test_columns_by_name_and_categories_of_text_are_not_guessed_at() -> None:
    table = pd.DataFrame(FILLED, columns=["a", "b", "c"])
    with pytest.raises(NotAdditive, match="places"):
        additive_terms(fitted(columns((SimpleImputer(), ["a", "c"])), matrix=table))
    texts = np.array([["x"], ["y"], ["x"], ["y"], ["x"]], dtype=object)
    with pytest.raises(NotAdditive, match="a category that is no number"):
        additive_terms(fitted(OneHotEncoder(), matrix=texts))


def test_a_coefficient_that_is_not_finite_makes_no_sum() -> None:
    classifier = fitted(SimpleImputer())
    classifier[-1].coef_[0, 1] = math.inf
    with pytest.raises(NotAdditive, match=r"column 1 .* not finite"):
        additive_terms(classifier)


def probabilities(classifier: Any) -> Any:
    return lambda rows: classifier.predict_proba(rows)[:, 1]


def test_a_sum_that_says_what_the_estimator_says_is_agreed_on() -> None:
    classifier = fitted(SimpleImputer(add_indicator=True), StandardScaler())
    found = agreed_terms(classifier, probabilities(classifier), MATRIX)
    assert found == additive_terms(classifier)
    np.testing.assert_allclose(found.scores(MATRIX), probabilities(classifier)(MATRIX), rtol=1e-12)


def test_a_sum_that_says_something_else_is_none() -> None:
    classifier = fitted(SimpleImputer())
    other = probabilities(fitted(SimpleImputer(), StandardScaler()))
    assert agreed_terms(classifier, other, MATRIX) is None
    assert agreed_terms(classifier, other) is None
    assert agreed_terms(make_pipeline(SimpleImputer(), GaussianNB()), other) is None


def test_only_a_missing_value_that_is_filled_otherwise_is_seen() -> None:
    mean, median = (fitted(SimpleImputer(strategy=by), matrix=MATRIX) for by in ("mean", "median"))
    median[-1].coef_, median[-1].intercept_ = mean[-1].coef_, mean[-1].intercept_
    assert agreed_terms(mean, probabilities(median)) is None


def test_rows_that_the_estimator_refuses_are_passed_over_but_not_all_of_them() -> None:
    classifier = fitted(StandardScaler(), matrix=FILLED)

    def score(rows: Any) -> Any:
        if np.isnan(rows).any():
            raise BadInput("it takes nothing missing")
        return probabilities(classifier)(rows)

    def refuse(rows: Any) -> Any:
        raise BadInput("it takes nothing")

    assert agreed_terms(classifier, score) == additive_terms(classifier)
    assert agreed_terms(classifier, refuse) is None
