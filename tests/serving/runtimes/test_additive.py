from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)

from esteira.serving.runtimes.additive import NotAdditive, Term, additive_terms

MATRIX = np.array([[1.0, 0.0, 5.0], [2.0, 1.0, 3.0], [np.nan, 2.0, 4.0], [4.0, 0.0, 9.0], [0.0, 1.0, 8.0]])
LABELS = np.array([0, 1, 0, 1, 1])
FILLED = np.nan_to_num(MATRIX)


def fitted(*steps: Any, matrix: Any = MATRIX) -> Any:
    return make_pipeline(*steps, LogisticRegression()).fit(matrix, LABELS)


def log_odds(classifier: Any, row: list[float]) -> float:
    intercept, terms = additive_terms(classifier)
    return sum((term.of_value(row[term.column]) for term in terms), intercept)


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


@pytest.mark.parametrize(
    "classifier", [LogisticRegression(), make_pipeline(SimpleImputer(), LinearRegression())]
)
def test_what_is_no_pipeline_to_a_logistic_regression_is_not_guessed_at(classifier: Any) -> None:
    with pytest.raises(NotAdditive):
        additive_terms(classifier.fit(FILLED, LABELS))


@given(
    values=st.lists(st.floats(allow_infinity=False, width=32) | st.sampled_from([0.0, 1.0, math.nan])),
    fill=st.floats(-5, 5) | st.just(math.nan),
    marks=st.booleans(),
    effects=st.none() | st.dictionaries(st.sampled_from([0.0, 1.0, 2.0]), st.floats(-5, 5)),
)
def test_a_column_has_the_terms_of_its_values_to_the_bit(
    values: list[float],
    fill: float,
    marks: bool,  # noqa: FBT001 - drawn
    effects: dict[float, float] | None,
) -> None:
    term = Term(0, fill=fill, marks=marks, mean=0.3, scale=1.7, slope=-2.1, effects=effects)
    expected = np.array([term.of_value(value) for value in values], dtype=np.float64)
    np.testing.assert_array_equal(term.of_column(np.array(values, dtype=np.float64)), expected)


@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
def test_a_column_that_was_empty_in_training_is_left_out() -> None:
    matrix = np.column_stack([FILLED, np.full(5, np.nan)])
    classifier = fitted(SimpleImputer(), StandardScaler(), matrix=matrix)
    _, terms = additive_terms(classifier)
    assert [term.column for term in terms] == [0, 1, 2]
