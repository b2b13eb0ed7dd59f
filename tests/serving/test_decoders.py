from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.worlds import PLAIN, VIEWED

from esteira.base.errors import BadInput
from esteira.registry.signature import Column, Signature, ViewRef
from esteira.serving.decoders import RowDecoder
from esteira.serving.http.formats import rows_of_json

NUMBERS = Signature(tuple(Column(f"x{at}", optional=at == 2) for at in range(3)), "y")
MATRIX = Signature(tuple(Column(f"x{at}") for at in range(3)), "y")
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["AA", "UA", "new", "", "1"])
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"miles": VALUES, "carrier": VALUES}, optional={"gust": VALUES, "stranger": VALUES}
    ),
    max_size=3,
)


def same(one: list[list[float]], other: list[list[float]]) -> bool:
    return [[*map(repr, row)] for row in one] == [[*map(repr, row)] for row in other]


def bodies(rows: list[dict[str, Any]]) -> list[bytes]:
    """The same rows in every format."""
    names = ["miles", "carrier", "gust"]
    split = {"columns": names, "data": [[row.get(name) for name in names] for row in rows]}
    documents: list[Any] = [{name: rows} for name in ("dataframe_records", "instances", "inputs")]
    documents += [
        {"dataframe_split": split},
        {"inputs": {name: [r.get(name) for r in rows] for name in names}},
    ]
    return [json.dumps(document).encode() for document in documents]


@given(ROWS)
def test_what_it_reads_is_to_the_bit_what_the_general_way_reads(rows: list[dict[str, Any]]) -> None:
    decoder = RowDecoder(PLAIN)
    for body in bodies(rows):
        found = decoder.numbers(body)
        if found is None:
            continue
        assert same(found, [PLAIN.encode_row(row) for row in rows_of_json(body, PLAIN)])


@given(ROWS)
def test_what_the_general_way_refuses_it_passes_over(rows: list[dict[str, Any]]) -> None:
    decoder = RowDecoder(PLAIN)
    for body in bodies(rows):
        try:
            for row in rows_of_json(body, PLAIN):
                PLAIN.encode_row(row)
        except (BadInput, OverflowError):
            assert decoder.numbers(body) is None


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_bytes_of_any_kind_are_passed_over(body: bytes) -> None:
    assert RowDecoder(PLAIN).numbers(body) is None


@pytest.mark.parametrize("format", ["dataframe_records", "instances", "inputs"])
def test_the_usual_request_is_read_in_one_go(format: str) -> None:
    row = {"carrier": "UA", "miles": 500}
    found = RowDecoder(PLAIN).numbers(json.dumps({format: [row, {**row, "gust": 2.5}]}).encode())
    assert found is not None
    assert found[1] == [500.0, 1.0, 2.5]
    assert found[0][:2] == [500.0, 1.0]
    assert math.isnan(found[0][2])


def test_a_frame_is_read_in_one_go_when_its_columns_are_those_of_the_model() -> None:
    split = {"columns": ["miles", "carrier", "gust"], "data": [[500, "UA", None]], "index": [7]}
    found = RowDecoder(PLAIN).numbers(json.dumps({"dataframe_split": split}).encode())
    assert found is not None
    assert found[0][:2] == [500.0, 1.0]
    turned = {"columns": ["gust", "carrier", "miles"], "data": [[None, "UA", 500]]}
    assert RowDecoder(PLAIN).numbers(json.dumps({"dataframe_split": turned}).encode()) is None


def test_a_matrix_is_read_in_the_order_of_the_signature_when_all_columns_are_numbers() -> None:
    body = b'{"inputs": [[1, 2.5, 3], [4, 5, 6]]}'
    assert RowDecoder(MATRIX).numbers(body) == [[1.0, 2.5, 3.0], [4.0, 5.0, 6.0]]
    for other in (PLAIN, Signature((Column("x"),), "y")):  # here it has no one reading
        assert RowDecoder(other).numbers(body) is None
    assert RowDecoder(MATRIX).numbers(b'{"inputs": [[1, 2]]}') is None


def test_rows_with_names_and_rows_without_do_not_mix() -> None:
    fields = RowDecoder(MATRIX).fields
    named = dict(zip(fields, (1, 2, 3), strict=True))
    assert RowDecoder(MATRIX).numbers(json.dumps({"instances": [named, named]}).encode()) is not None
    assert RowDecoder(MATRIX).numbers(json.dumps({"instances": [[1, 2, 3], named]}).encode()) is None


def test_keys_of_views_are_read_by_name() -> None:
    decoder = RowDecoder(VIEWED)
    assert not decoder.is_direct
    assert decoder.numbers(b'{"inputs": [{"miles": 5, "origin": "JFK"}]}') is None
    assert decoder.values(b'{"inputs": [{"miles": 5, "origin": "JFK"}]}') == [{"miles": 5.0, "origin": "JFK"}]
    assert decoder.values(b'{"inputs": [{"miles": 5}]}') is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [{"x0": 1, "x1": 2}], "inputs": [{"x0": 1, "x1": 2}]}',
        b'{"instances": [{"x0": 1, "x1": 2, "x3": 3}]}',
        b'{"instances": [{"x0": 1}]}',
        b'{"instances": [{"x0": true, "x1": 2}]}',
        b'{"instances": [{"x0": NaN, "x1": 2}]}',
        b'{"instances": 5}',
        b"{}",
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_the_rest_is_for_the_general_way(body: bytes) -> None:
    assert RowDecoder(NUMBERS).numbers(body) is None


def test_a_column_that_is_the_key_of_a_view_keeps_the_type_that_it_came_with() -> None:
    view = ViewRef("sales", ("store",), ("mean",))
    columns = (Column("store"), Column("sales__mean", view="sales"))
    body = b'{"instances": [{"store": 12}]}'
    signature = Signature(columns, "y", (view,))
    assert (
        repr(RowDecoder(signature).values(body)) == repr(rows_of_json(body, signature)) == "[{'store': 12}]"
    )


@pytest.mark.parametrize("name", ['width "in"', "back\\slash", "new\nline", "tab\t"])
def test_a_column_of_an_odd_name_is_for_the_general_way(name: str) -> None:
    signature = Signature((Column(name),), "y")
    body = json.dumps({"instances": [{name: 1}]}).encode()
    assert RowDecoder(signature).numbers(body) is None
    assert rows_of_json(body, signature) == [{name: 1}]
