"""One column, and how its values become numbers; that rows and tables agree is shown with the signature."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest

from esteira.registry.columns import (
    Column,
    WrongInput,
    column_in,
    is_text,
    number_of,
    numbers_in,
    text_of,
    texts_in,
)


@pytest.mark.parametrize(
    ("column", "is_requested"),
    [(Column("a"), True), (Column("v__a", view="v"), False), (Column("t__a", transform="t"), False)],
)
def test_what_views_and_transforms_supply_is_not_requested(column: Column, *, is_requested: bool) -> None:
    assert column.is_requested is is_requested


def test_only_what_is_requested_must_be_there() -> None:
    assert math.isnan(number_of(Column("v__a", view="v"), None, None))
    assert text_of(Column("v__a", view="v"), None) is None
    assert text_of(Column("a", optional=True), None) is None
    with pytest.raises(WrongInput, match="'a' must be a number, found nothing"):
        number_of(Column("a"), None, None)
    with pytest.raises(WrongInput, match="'a' must be a category, found nothing"):
        text_of(Column("a", "category"), None)


def test_only_what_is_requested_must_be_finite() -> None:
    assert number_of(Column("v__a", view="v"), None, math.inf) == math.inf
    with pytest.raises(WrongInput, match="'a' must be a finite number, found inf"):
        number_of(Column("a", optional=True), None, math.inf)


def test_a_category_is_its_code_and_a_text_itself() -> None:
    carrier = Column("carrier", "category", ("AA", "UA"))
    assert number_of(carrier, {"AA": 0.0, "UA": 1.0}, "UA") == 1.0
    assert text_of(carrier, "ZZ") == "ZZ"
    with pytest.raises(WrongInput, match="'carrier' must be a text, found 7"):
        text_of(carrier, 7)


def test_columns_of_a_table_are_read_by_their_kind() -> None:
    table = pa.table({"a": [2**53 + 1, None], "s": ["x", None]})
    assert numbers_in(table, Column("a")).tolist()[0] == 2.0**53
    assert texts_in(table, "s").to_pylist() == ["x", None]
    assert is_text(table["s"].type)
    assert not is_text(table["a"].type)


def test_columns_that_are_not_there_or_of_another_kind_are_named() -> None:
    table = pa.table({"a": [1]})
    with pytest.raises(WrongInput, match="'b' must be in the table, found only a"):
        column_in(table, "b")
    with pytest.raises(WrongInput, match="'a' must be text, found int64"):
        texts_in(table, "a")
