from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from esteira.registry.terms import Term, Terms, logistic
from esteira.serving.runtimes.term_sum import TermSum

NUMBERS = st.floats(-1e9, 1e9)
TERMS = st.builds(
    Term,
    column=st.integers(0, 2),
    fill=NUMBERS | st.just(math.nan),
    marks=st.booleans(),
    mean=NUMBERS,
    scale=st.floats(0.01, 100),
    slope=NUMBERS,
    effects=st.none() | st.dictionaries(st.sampled_from([0.0, 1.0, 2.0]), NUMBERS),
)


@given(
    intercept=NUMBERS,
    terms=st.lists(TERMS, max_size=9),
    is_logistic=st.booleans(),
    matrix=arrays(np.float64, (5, 3), elements=NUMBERS | st.sampled_from([math.nan, 0.0, 1.0, -0.0])),
)
def test_a_row_has_the_bits_that_it_has_in_a_matrix(
    intercept: float,
    terms: list[Term],
    is_logistic: bool,
    matrix: np.ndarray,
) -> None:
    found = TermSum(Terms(3, intercept, tuple(terms), is_logistic))
    alone = np.array([found.of_row(row) for row in matrix.tolist()])
    np.testing.assert_array_equal(alone, found.of_rows(matrix))


@given(intercept=NUMBERS, terms=st.lists(TERMS, max_size=9))
def test_the_sum_is_that_of_its_terms(intercept: float, terms: list[Term]) -> None:
    row = [1.0, math.nan, -3.5]
    found = TermSum(Terms(3, intercept, tuple(terms))).of_row(row)
    expected = [intercept, *(term.of_value(row[term.column]) for term in terms)]
    if math.isnan(found):
        assert any(map(math.isnan, expected))
    else:
        assert math.isclose(found, math.fsum(expected), rel_tol=1e-9, abs_tol=1e-12 * sum(map(abs, expected)))


def test_a_sum_without_terms_is_its_intercept() -> None:
    found = TermSum(Terms(1, 2.5, ()))
    assert found.of_row([1.0]) == 2.5
    assert found.of_rows(np.ones((2, 1))).tolist() == [2.5, 2.5]


def test_the_sum_of_a_classifier_becomes_a_probability() -> None:
    found = TermSum(Terms(1, 2.5, (), is_logistic=True))
    assert found.of_row([1.0]) == logistic(2.5)
    assert found.of_rows(np.ones((2, 1))).tolist() == [logistic(2.5)] * 2
    assert found.of_rows(np.ones((0, 1))).shape == (0,)
