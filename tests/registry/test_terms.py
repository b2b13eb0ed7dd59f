from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.registry.terms import Term, Terms, UnfitTerm, logistic, read_terms

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SCALES = st.floats(min_value=5e-324, allow_infinity=False)
CODES = st.floats(allow_nan=False, allow_infinity=False) | st.just(-math.inf)
SLOPED = st.builds(
    Term,
    column=st.integers(0, 2),
    fill=NUMBERS | st.just(math.nan),
    marks=st.booleans(),
    mean=NUMBERS,
    scale=SCALES,
    slope=NUMBERS,
)
CODED = st.builds(
    Term,
    column=st.integers(0, 2),
    fill=CODES | st.just(math.nan),
    effects=st.dictionaries(CODES, NUMBERS, max_size=4),
)
MODELS = st.builds(
    Terms,
    columns=st.integers(3, 5),
    intercept=NUMBERS,
    terms=st.lists(SLOPED | CODED, max_size=5).map(tuple),
    is_logistic=st.booleans(),
)
SMALL = Terms(
    2,
    0.5,
    (
        Term(0, fill=1.0, mean=2.0, scale=4.0, slope=8.0),
        Term(1, fill=-math.inf, effects={0.0: 1.0, -math.inf: -3.0}),
    ),
)


def changed(**fields: Any) -> dict[str, Any]:
    return {**SMALL.to_plain(), **fields}


def changed_term(at: int, **fields: Any) -> dict[str, Any]:
    terms = SMALL.to_plain()["terms"]
    terms[at] |= fields
    return changed(terms=terms)


@given(model=MODELS)
def test_terms_come_back_as_they_were_written_to_the_bit(model: Terms) -> None:
    content = model.to_bytes()
    assert read_terms(content) == model
    assert repr(read_terms(content)) == repr(model)  # -0.0 equals 0.0, and is spelled otherwise
    assert read_terms(content).to_bytes() == content
    assert repr(Terms.from_plain(model.to_plain())) == repr(model)


def test_the_file_is_plain_json_in_one_spelling() -> None:
    plain = json.loads(SMALL.to_bytes())
    assert plain["link"] == "identity"
    assert [term["fill"] for term in plain["terms"]] == [1.0, "-inf"]
    assert plain["terms"][1]["effects"] == [[0.0, 1.0], ["-inf", -3.0]]
    assert json.loads(Terms(1, 0.0, (Term(0),)).to_bytes())["terms"][0]["fill"] is None


@given(
    values=st.lists(st.floats(allow_infinity=False, width=32) | st.sampled_from([0.0, 1.0, math.nan])),
    fill=st.floats(-5, 5) | st.just(math.nan),
    marks=st.booleans(),
    effects=st.none() | st.dictionaries(st.sampled_from([0.0, 1.0, 2.0]), st.floats(-5, 5)),
)
def test_a_column_has_the_terms_of_its_values_to_the_bit(
    values: list[float],
    fill: float,
    marks: bool,
    effects: dict[float, float] | None,
) -> None:
    term = Term(0, fill=fill, marks=marks, mean=0.3, scale=1.7, slope=-2.1, effects=effects)
    expected = np.array([term.of_value(value) for value in values], dtype=np.float64)
    np.testing.assert_array_equal(term.of_column(np.array(values, dtype=np.float64)), expected)


def test_scores_are_the_sum_and_of_a_classifier_its_probability() -> None:
    rows = np.array([[6.0, 0.0], [math.nan, math.nan], [2.0, 9.0]])
    totals = [0.5 + 8.0 + 1.0, 0.5 - 2.0 - 3.0, 0.5]
    assert SMALL.scores(rows).tolist() == totals
    classifier = Terms(SMALL.columns, SMALL.intercept, SMALL.terms, is_logistic=True)
    assert classifier.scores(rows).tolist() == [logistic(total) for total in totals]
    assert classifier.scores(rows[:0]).shape == (0,)


@given(total=st.floats(-700, 700))
def test_the_probabilities_of_both_sides_add_up(total: float) -> None:
    assert math.isclose(logistic(total) + logistic(-total), 1.0)


@pytest.mark.parametrize(
    ("term", "reason"),
    [
        (Term(0, slope=math.nan), "not finite"),
        (Term(0, slope=math.inf), "not finite"),
        (Term(0, mean=-math.inf), "not finite"),
        (Term(0, fill=-math.inf), "not finite"),
        (Term(0, fill=math.inf, effects={}), "not finite"),
        (Term(0, effects={math.nan: 1.0}), "not finite"),
        (Term(0, effects={0.0: math.nan}), "not finite"),
        (Term(0, scale=0.0), "above 0, found 0.0"),
        (Term(0, scale=-1.0), "above 0"),
        (Term(2), "a row has 2 columns"),
        (Term(-1), "a row has 2 columns"),
    ],
)
def test_a_term_without_a_value_or_a_column_is_refused(term: Term, reason: str) -> None:
    with pytest.raises(UnfitTerm, match=reason):
        Terms(2, 0.0, (term,))


def test_an_intercept_that_is_not_finite_is_refused() -> None:
    with pytest.raises(BadInput, match="intercept"):
        Terms(2, math.nan, ())


def test_rows_to_try_it_with_hold_its_categories_and_miss_values_in_half_of_them() -> None:
    rows = SMALL.trial_rows()
    assert rows.shape == (12, 2)
    assert not np.isnan(rows[:6]).any()
    assert np.isnan(rows[6:]).any()
    assert np.isnan(rows[-1]).all()
    assert set(rows[:6, 1].tolist()) == {0.0}
    np.testing.assert_array_equal(rows, SMALL.trial_rows())


MALFORMED = [
    changed(format=2),
    changed(link="probit"),
    changed(more=1),
    changed(columns=1),
    changed(columns="2"),
    changed(intercept=None),
    changed(terms={}),
    changed_term(0, column=7),
    changed_term(0, column=0.5),
    changed_term(0, slope="1"),
    changed_term(0, slope=True),
    changed_term(0, fill="-inf"),
    changed_term(0, fill="inf"),
    changed_term(0, scale=0),
    changed_term(1, effects=[[0.0, 1.0], [0, 2.0]]),
    changed_term(1, effects=[[0.0]]),
    changed_term(1, effects={"0.0": 1.0}),
]


@pytest.mark.parametrize("plain", MALFORMED)
def test_what_says_no_sum_is_refused(plain: dict[str, Any]) -> None:
    with pytest.raises((BadInput, msgspec.ValidationError)):
        Terms.from_plain(plain)
    with pytest.raises(CorruptArtifact, match=r"terms\.json"):
        read_terms(json.dumps(plain).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"columns":' + b"[" * 100_000,
        SMALL.to_bytes().replace(b'"intercept":0.5', b'"intercept":1e999'),
        SMALL.to_bytes().replace(b'"intercept":0.5', b'"intercept":NaN'),
        SMALL.to_bytes().replace(b'"intercept":0.5', b'"intercept":' + b"9" * 400),
    ],
)
def test_bytes_that_hold_no_terms_are_corrupt(content: bytes) -> None:
    with pytest.raises(CorruptArtifact, match=r"terms\.json"):
        read_terms(content)


@given(cut=st.integers(0, len(SMALL.to_bytes()) - 1))
def test_a_file_that_was_cut_short_is_corrupt_wherever_that_was(cut: int) -> None:
    with pytest.raises(CorruptArtifact):
        read_terms(SMALL.to_bytes()[:cut])
