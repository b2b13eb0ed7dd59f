"""The contract that training and serving share."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.registry.signature import Column, Signature, ViewRef, WrongInput, infer_signature

KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int8": (pa.int8(), st.integers(-128, 127)),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "float32": (pa.float32(), st.floats(width=32)),
    "float64": (pa.float64(), st.floats()),
    "bool": (pa.bool_(), st.booleans()),
    "string": (pa.string(), st.sampled_from(["AA", "UA", "", "ÅÄ", "nan", "0"])),
    "large_string": (pa.large_string(), st.sampled_from(["AA", "UA", "a b"])),
}
CATEGORIES = ("", "AA", "nan", "ÅÄ")  # "UA", "0" and "a b" are unknown to the model


@st.composite
def tables(draw: st.DrawFn) -> tuple[Signature, pa.Table]:
    """A signature and a table for it: all types, nulls, NaN, infinities, several chunks."""
    rows = draw(st.integers(0, 6))
    columns, arrays = [], {}
    for at in range(draw(st.integers(1, 4))):
        kind, values = KINDS[draw(st.sampled_from(sorted(KINDS)))]
        is_text = kind in (pa.string(), pa.large_string())
        held = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        cut = draw(st.integers(0, rows))
        arrays[f"c{at}"] = pa.chunked_array([held[:cut], held[cut:]], kind)
        columns.append(
            Column(
                f"c{at}",
                "category" if is_text else "number",
                CATEGORIES if is_text else (),
                view=draw(st.sampled_from(["", "v"])),
                optional=draw(st.booleans()),
            )
        )
    return Signature(tuple(columns), "late"), pa.table(arrays)


@settings(max_examples=300)
@given(tables())
def test_a_row_and_a_table_are_the_same_numbers_to_the_bit(given_table: tuple[Signature, pa.Table]) -> None:
    signature, table = given_table
    matrix = signature.encode_table(table)
    assert matrix.shape == (table.num_rows, len(signature.columns))
    for at, values in enumerate(table.to_pylist()):
        try:
            row = signature.encode_row(values)
        except WrongInput as refused:
            # A request is held to more than history: what it must carry is there, and finite.
            column = next(c for c in signature.columns if c.name == refused.column)
            value = values[column.name]
            assert column.is_requested
            assert value is None or not math.isfinite(value)
            continue
        assert np.array(row).tobytes() == matrix[at].tobytes()


@given(tables())
def test_a_signature_survives_json(given_table: tuple[Signature, pa.Table]) -> None:
    signature, _ = given_table
    assert Signature.from_plain(json.loads(json.dumps(signature.to_plain()))) == signature


@given(st.lists(st.sampled_from([*CATEGORIES, None]), min_size=1), st.permutations(CATEGORIES))
def test_recoding_is_encoding_anew_with_the_other_signature(
    values: list[str | None], order: list[str]
) -> None:
    table = pa.table({"a": pa.array(values, pa.string()), "b": np.arange(len(values), dtype=float)})
    old = Signature((Column("a", "category", CATEGORIES, optional=True), Column("b")), "late")
    new = Signature((Column("b"), Column("a", "category", tuple(order[:2]), optional=True)), "late")
    assert np.array_equal(old.recode(old.encode_table(table), new), new.encode_table(table), equal_nan=True)


@given(st.sampled_from([*CATEGORIES, None]), st.floats(allow_nan=False, allow_infinity=False) | st.none())
def test_decoding_is_the_inverse_of_encoding(carrier: str | None, miles: float | None) -> None:
    signature = Signature(
        (Column("carrier", "category", CATEGORIES, optional=True), Column("miles", optional=True)), "late"
    )
    row = {"carrier": carrier, "miles": miles}
    assert signature.decode_row(signature.encode_row(row)) == row


SIGNATURE = Signature(
    (Column("miles"), Column("carrier", "category", ("AA", "UA")), Column("w__wind", view="w")),
    "late",
    (ViewRef("w", ("origin", "carrier"), ("wind",), 3_600_000_000),),
)


def test_a_request_carries_its_own_columns_and_the_keys_of_the_views() -> None:
    assert SIGNATURE.names == ("miles", "carrier", "w__wind")
    assert [column.name for column in SIGNATURE.request_columns] == ["miles", "carrier"]
    assert SIGNATURE.keys == ("origin",)


def test_an_unknown_category_and_an_absent_feature_are_missing() -> None:
    row = SIGNATURE.encode_row({"miles": True, "carrier": "ZZ"})
    assert row[0] == 1.0
    assert math.isnan(row[1])
    assert math.isnan(row[2])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"miles": None}, "column 'miles' must be a number, found nothing"),
        ({"miles": "far"}, "column 'miles' must be a number, found 'far'"),
        ({"miles": [1]}, r"column 'miles' must be a number, found \[1\]"),
        ({"miles": float("nan")}, "column 'miles' must be a finite number, found nan"),
        ({"miles": float("-inf")}, "column 'miles' must be a finite number, found -inf"),
        ({"carrier": 7}, "column 'carrier' must be a text, found 7"),
        ({"carrier": None}, "column 'carrier' must be a category, found nothing"),
        ({"miles": "x" * 500}, "column 'miles' must be a number, found 'x{39}$"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(change: dict[str, object], expected: str) -> None:
    with pytest.raises(WrongInput, match=expected):
        SIGNATURE.encode_row({"miles": 1, "carrier": "AA", **change})


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["far"]), "column 'miles' must be numbers, found string"),
        (pa.array(["7"]), "column 'miles' must be numbers, found string"),
        (pa.array([[1.0]]), "column 'miles' must be numbers, found list"),
        (pa.array([0], pa.timestamp("us", "UTC")), "column 'miles' must be numbers, found timestamp"),
        (pa.array([b"7"]), "column 'miles' must be numbers, found binary"),
    ],
)
def test_a_column_of_another_type_is_refused_and_not_read_as_a_number(
    column: pa.Array, expected: str
) -> None:
    with pytest.raises(WrongInput, match=expected):
        Signature((Column("miles"),), "late").encode_table(pa.table({"miles": column}))


def test_a_whole_number_that_no_float_holds_is_rounded_alike() -> None:
    number = 2**53 + 1
    matrix = Signature((Column("miles"),), "late").encode_table(pa.table({"miles": [number]}))
    assert matrix.tolist() == [SIGNATURE.encode_row({"miles": number, "carrier": "AA"})[:1]]


def test_a_number_where_a_category_belongs_is_refused() -> None:
    with pytest.raises(WrongInput, match="column 'carrier' must be text, found int64"):
        SIGNATURE.encode_table(pa.table({"miles": [1], "carrier": [1], "w__wind": [1]}))


def test_a_table_without_a_column_says_which_it_has() -> None:
    with pytest.raises(WrongInput, match="column 'carrier' must be in the table, found only miles"):
        SIGNATURE.encode_table(pa.table({"miles": [1]}))


def test_a_column_without_any_value_is_missing_throughout() -> None:
    matrix = Signature((Column("miles"),), "late").encode_table(pa.table({"miles": pa.nulls(2)}))
    assert np.isnan(matrix).all()


def test_text_becomes_sorted_categories_and_columns_of_views_are_known() -> None:
    table = pa.table(
        {
            "carrier": ["UA", None, "AA", "UA"],
            "miles": [1, 2, 3, 4],
            "w__wind": [1.0, None, 2.0, 3.0],
            "late": [0, 1, 0, 1],
        }
    )
    view = SIGNATURE.views[0]
    found = infer_signature(table, "late", columns=("miles", "carrier", "w__wind"), views=(view,))
    assert found.columns == (
        Column("miles"),
        Column("carrier", "category", ("AA", "UA"), optional=True),
        Column("w__wind", view="w", optional=True),
    )
    assert found.views == (view,)


def test_recoding_needs_every_column_of_the_other_signature() -> None:
    with pytest.raises(WrongInput, match="'hour' must be in the logged vector"):
        SIGNATURE.recode(np.zeros((1, 3)), Signature((Column("hour"),), "late"))


@pytest.mark.parametrize("kinds", [("number", "category"), ("category", "number")])
def test_a_number_has_no_meaning_as_a_category(kinds: tuple[str, str]) -> None:
    columns = {"number": Column("hour"), "category": Column("hour", "category", ("06", "07"))}
    logged, other = (Signature((columns[kind],), "late") for kind in kinds)
    with pytest.raises(WrongInput, match=f"'hour' must be a {kinds[1]} in the logged vector too"):
        logged.recode(np.array([[1.0], [500.0]]), other)
