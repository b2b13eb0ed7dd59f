"""Encodings as a model keeps them: one row and many rows give equal bits; what does not fit is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from esteira.base.digest import canonical_json
from esteira.base.errors import BadInput
from esteira.registry.encodings import Encodings, Fitted, Kept, Mapped, Marked, Scaled, UnfitEncoding
from esteira.registry.signature import Column, Signature

SIGNATURE = Signature(
    (Column("miles"), Column("gust"), *(Column(name, "category", ("a", "b", "c")) for name in "stuv")), "late"
)
ENCODINGS = Encodings(
    (
        Scaled("standard", 500.0, 120.5, impute=True),
        Scaled("robust", 3.25, 7.0, impute=False),
        Kept(),
        Mapped("ordinal", (2.0, 0.0, 1.0), None),
        Mapped("target", (0.1, 0.35, 0.7), 0.25),
        Marked((0, 2)),
    )
)

finite = st.floats(allow_nan=False, allow_infinity=False)
scales = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
kinds = st.sampled_from(["ordinal", "target"])
fitted: st.SearchStrategy[Fitted] = st.one_of(
    st.just(Kept()),
    st.builds(Scaled, st.sampled_from(["standard", "robust"]), finite, scales, st.booleans()),
    st.builds(Mapped, kinds, st.lists(finite, min_size=1, max_size=5).map(tuple), st.none() | finite),
    st.builds(Marked, st.lists(st.integers(0, 6), min_size=1, max_size=5, unique=True).map(tuple)),
)
# Codes, codes of no category, halves, gaps, and whatever a float can be but infinite.
values = st.sampled_from([0.0, -0.0, 1.0, 2.0, 6.0, 7.0, -1.0, 0.5, math.nan, 1e308, -1e308]) | finite


@given(data=st.data(), plan=st.lists(fitted, min_size=1, max_size=5), rows=st.integers(0, 6))
def test_a_row_is_encoded_alone_as_among_many_to_the_bit(
    data: st.DataObject, plan: list[Fitted], rows: int
) -> None:
    encodings = Encodings(tuple(plan))
    matrix = data.draw(arrays(np.float64, (rows, len(plan)), elements=values))
    encoded = encodings.encode_matrix(matrix)
    assert encoded.dtype == np.float64
    for row, expected in zip(matrix, encoded, strict=True):
        assert np.array(encodings.encode_row(row.tolist())).tobytes() == expected.tobytes()
        assert encodings.encode_matrix(row[np.newaxis]).tobytes() == expected.tobytes()


@given(plan=st.lists(fitted, max_size=5))
def test_encodings_come_back_from_json_as_they_were(plan: list[Fitted]) -> None:
    encodings = Encodings(tuple(plan))
    assert Encodings.from_plain(json.loads(canonical_json(encodings.to_plain()))) == encodings


def test_each_form_makes_of_a_value_what_it_says() -> None:
    assert ENCODINGS.encode_row([620.5, 10.25, 1.0, 0.0, 1.0, 2.0]) == [1.0, 1.0, 1.0, 2.0, 0.35, 0.0, 1.0]


def test_a_missing_value_stays_missing_or_becomes_what_the_form_says() -> None:
    encoded = ENCODINGS.encode_row([math.nan] * 6)
    assert [None if math.isnan(each) else each for each in encoded] == [0.0, None, None, None, 0.25, 0.0, 0.0]


def test_encoded_columns_are_named_for_what_they_were() -> None:
    encoded = ENCODINGS.encoded(SIGNATURE)
    assert encoded.names == ("miles~standard", "gust~robust", "s", "t~ordinal", "u~target", "v=a", "v=c")
    assert [column.kind for column in encoded.columns] == ["number", "number", "category"] + ["number"] * 4
    assert encoded.columns[2].categories == ("a", "b", "c")
    assert encoded.target == "late"


def test_two_encoded_columns_of_one_name_are_refused() -> None:
    raw = Signature((Column("v", "category", ("a",)), Column("v=a")), "late")
    with pytest.raises(BadInput, match="two encoded columns are named 'v=a'; rename a raw column"):
        Encodings((Marked((0,)), Kept())).encoded(raw)


@pytest.mark.parametrize(
    ("form", "column"),
    [
        (Scaled("standard", 0.0, 1.0, impute=False), "s"),
        (Scaled("standard", 0.0, 0.0, impute=False), "miles"),
        (Scaled("robust", math.nan, 1.0, impute=False), "miles"),
        (Scaled("robust", 0.0, math.inf, impute=False), "miles"),
        (Mapped("target", (0.1, 0.2, 0.3), 0.2), "miles"),
        (Mapped("target", (0.1, 0.2), 0.2), "s"),
        (Mapped("target", (0.1, 0.2, math.nan), 0.2), "s"),
        (Mapped("target", (0.1, 0.2, 0.3), math.inf), "s"),
        (Marked((0, 1)), "miles"),
        (Marked((0, 3)), "s"),
        (Marked((-1,)), "s"),
        (Marked(()), "s"),
    ],
)
def test_a_form_that_cannot_be_that_of_its_column_is_refused(form: Fitted, column: str) -> None:
    raw = Signature((SIGNATURE.columns[SIGNATURE.names.index(column)],), "late")
    with pytest.raises(UnfitEncoding, match=f"column '{column}' cannot be encoded by {form.by}"):
        Encodings((form,)).encoded(raw)


def test_encodings_of_fewer_columns_are_refused() -> None:
    with pytest.raises(BadInput, match="expected one encoding for each of"):
        Encodings(ENCODINGS.fitted[:-1]).encoded(SIGNATURE)


@pytest.mark.parametrize("rows", [np.zeros((2, 5)), np.zeros((2, 7))])
def test_rows_of_another_width_are_refused(rows: Any) -> None:
    with pytest.raises(ValueError, match="zip"):
        ENCODINGS.encode_matrix(rows)
    with pytest.raises(ValueError, match="zip"):
        ENCODINGS.encode_row(rows[0].tolist())
