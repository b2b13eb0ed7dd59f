from __future__ import annotations

import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.registry.columns import Column, WrongInput
from esteira.registry.signature import Signature
from esteira.serving.unscorable import unscorable

COLUMNS = (Column("miles"), Column("gust", optional=True), Column("carrier", "category", ("AA", "UA")))
NUMBERS = st.none() | st.floats(width=64) | st.just(math.nan)
TEXTS = st.none() | st.sampled_from(["AA", "UA", "DL"])


def _said(signature: Signature, row: dict[str, object]) -> str | None:
    """What a gateway says of a request."""
    try:
        signature.encode_row(row)
    except WrongInput as refused:
        return str(refused)
    return None


@given(st.lists(st.tuples(NUMBERS, NUMBERS, TEXTS), min_size=1, max_size=20))
def test_just_those_rows_are_refused_that_a_gateway_refuses(cells: list[tuple[object, ...]]) -> None:
    kinds = (pa.float64(), pa.float64(), pa.string())
    names = [column.name for column in COLUMNS]
    rows = pa.table(
        [pa.array(values, kind) for values, kind in zip(zip(*cells, strict=True), kinds, strict=True)], names
    )
    found = unscorable(rows, COLUMNS)
    signature = Signature(COLUMNS, "late")
    for place, values in enumerate(cells):
        said = _said(signature, dict(zip(names, values, strict=True)))
        assert (said is None) == (place not in found)
        assert said is None or said in found[place].split("; ")


def test_a_row_with_two_faults_says_both() -> None:
    rows = pa.table({"miles": [None, 1.0], "gust": [-math.inf, 2.0], "carrier": ["AA", "DL"]})
    assert unscorable(rows, COLUMNS) == {
        0: "column 'miles' must be a number, found nothing; column 'gust' must be a finite number, found -inf"
    }


def test_what_no_request_carries_is_not_looked_at() -> None:
    columns = [Column("v__heat", view="v"), Column("t__share", transform="t")]
    assert unscorable(pa.table({"other": [1]}), columns) == {}


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(WrongInput, match="'miles' must be in the table, found only gust"):
        unscorable(pa.table({"gust": [1.0]}), COLUMNS)


@pytest.mark.parametrize("kind", [pa.int64(), pa.float32(), pa.decimal128(9, 2), pa.null()])
def test_a_null_is_found_in_columns_of_every_type(kind: pa.DataType) -> None:
    assert [*unscorable(pa.table({"miles": pa.nulls(2, kind)}), [Column("miles")])] == [0, 1]
