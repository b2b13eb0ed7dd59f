from __future__ import annotations

import csv
import json
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput
from esteira.registry.signature import Column, Signature, ViewRef
from esteira.serving.http.decoding import MalformedBody
from esteira.serving.http.formats import UnfitRows, rows_of_csv, rows_of_json

LATE = Signature(
    (Column("miles"), Column("carrier", "category", ("AA", "UA")), Column("gust", optional=True)), "late"
)
NUMBERS = Signature((Column("a"), Column("b")), "late")
WEATHER = ViewRef("weather", ("origin",), ("visib",))
VIEWED = Signature((Column("miles"), Column("weather__visib", view="weather")), "late", (WEATHER,))

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
rows_given = st.lists(
    st.fixed_dictionaries({"miles": numbers, "carrier": texts, "gust": numbers, "note": texts}), min_size=1
)


def json_rows(document: object, signature: Signature = LATE) -> list[dict[str, Any]]:
    return rows_of_json(json.dumps(document).encode(), signature)


def columns_of(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


@given(rows_given)
def test_the_same_rows_come_out_of_every_format(rows: list[dict[str, Any]]) -> None:
    known = [{name: row[name] for name in ("miles", "carrier", "gust")} for row in rows]
    data = [[row[name] for name in rows[0]] for row in rows]
    split = {"columns": [*rows[0]], "data": data, "index": [*range(len(rows))]}
    for document in (
        {"dataframe_records": rows},
        {"dataframe_split": split},
        {"instances": rows},
        {"instances": columns_of(rows)},
        {"inputs": rows},
        {"inputs": columns_of(rows), "params": {"x": 1}},
    ):
        assert json_rows(document) == known


@given(rows_given)
def test_csv_brings_the_rows_that_were_written(rows: list[dict[str, Any]]) -> None:
    written = StringIO()
    writer = csv.DictWriter(written, [*rows[0]])
    writer.writeheader()
    writer.writerows(rows)
    expected = [{name: row[name] for name in ("miles", "carrier", "gust")} for row in rows]
    assert rows_of_csv(written.getvalue().encode(), LATE) == expected


@given(st.lists(st.tuples(numbers, numbers)))
def test_rows_without_names_are_in_the_order_of_a_model_of_numbers(rows: list[tuple[float, float]]) -> None:
    named = [{"a": a, "b": b} for a, b in rows]
    for document in ({"inputs": rows}, {"instances": rows}, {"dataframe_split": {"data": rows}}):
        assert json_rows(document, NUMBERS) == named


def test_a_bare_value_stands_for_every_row() -> None:
    assert json_rows({"inputs": {"miles": [1, 2], "carrier": "UA"}}) == [
        {"miles": 1, "carrier": "UA"},
        {"miles": 2, "carrier": "UA"},
    ]
    assert json_rows({"inputs": {"miles": 1, "carrier": "UA"}}) == [{"miles": 1, "carrier": "UA"}]


def test_the_only_column_needs_no_name() -> None:
    only = Signature((Column("a"),), "late")
    assert json_rows({"inputs": [1, 2]}, only) == [{"a": 1}, {"a": 2}]


def test_keys_of_features_are_part_of_the_rows_and_what_a_view_supplies_is_left_to_be_refused() -> None:
    row = {"miles": 1, "origin": "JFK"}
    assert json_rows({"inputs": [{**row, "x": 1}]}, VIEWED) == [row]
    assert json_rows({"inputs": [{**row, "weather__visib": 1}]}, VIEWED) == [{**row, "weather__visib": 1}]
    with pytest.raises(UnfitRows, match="'origin' must be given, as the key of features"):
        json_rows({"inputs": [{"miles": 1}]}, VIEWED)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"dataframe_records": [{"miles": 1}]}, "column 'carrier' must be a category, found nothing"),
        ({"inputs": {"x": [1]}}, "'miles' must be a number, found nothing; missing too: carrier"),
        ({"inputs": {"milez": [1], "carrier": ["UA"]}}, "unknown column 'milez'; did you mean 'miles'"),
        ({"inputs": [{"miles": 1, "carrier": "UA"}, {"miles": 2}]}, "row 1: column 'carrier'"),
        (
            {"inputs": {"miles": [1, 2], "carrier": ["UA"]}},
            "columns differ in length: 'miles' 2, 'carrier' 1",
        ),
        ({"inputs": [[1, "UA", 3]]}, "rows without names"),
        ({"inputs": None}, "inputs must be a list of records, or columns by name, found 'None'"),
        (
            {"dataframe_split": {"columns": ["miles", "carrier", "miles"], "data": [[1, "UA", 2]]}},
            "column 'miles' comes twice",
        ),
        ({"dataframe_split": {"columns": [0, [1]], "data": [[1, "UA"]]}}, "'miles' must be a number"),
    ],
)
def test_rows_that_are_not_the_models_are_told_apart(document: object, said: str) -> None:
    with pytest.raises(UnfitRows, match=said.replace("[", r"\[")):
        json_rows(document)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "exactly one of"),
        ({"inputs": {}, "instances": []}, "found instances, inputs"),
        ({"dataframe_split": None}, "Expected `object`, got `null`"),
        ({"dataframe_split": {"data": [], "dtypes": []}}, "unknown field `dtypes`"),
        (
            {"dataframe_split": {"data": [[1]], "columns": ["miles"], "index": []}},
            "index has 0 entries for 1 rows",
        ),
        (
            {"dataframe_split": {"data": [[1, 2], [1]], "columns": ["miles", "carrier"]}},
            "row 1 has 1 values for 2",
        ),
        ({"inputs": [{"miles": 1, "carrier": "UA"}, 7]}, "row 1 of inputs must be an object, found '7'"),
    ],
)
def test_a_body_that_is_none_is_malformed(document: object, said: str) -> None:
    with pytest.raises(MalformedBody, match=said):
        json_rows(document)


@pytest.mark.parametrize("text", ["1_000", "１", "0x10", "far", "1,000"])
def test_only_numbers_as_the_world_writes_them_are_numbers(text: str) -> None:
    with pytest.raises(BadInput, match="must be a number"):
        rows_of_csv(f'miles,carrier\n"{text}",UA\n'.encode(), LATE)


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_no_bytes_break_the_readers(body: bytes) -> None:
    for read in (rows_of_json, rows_of_csv):
        try:
            rows = read(body, LATE)
        except BadInput:
            continue
        assert isinstance(rows, list)
