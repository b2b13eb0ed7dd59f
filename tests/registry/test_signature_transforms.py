"""Signatures with transforms: what they ask for, keep and compute, the same from a row and from a table."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.base.digest import canonical_json, digest_json
from esteira.registry.columns import Column, WrongInput
from esteira.registry.derived import Derived
from esteira.registry.expressions import Draft
from esteira.registry.signature import Signature, ViewRef, derive, infer_signature

WEATHER = ViewRef("weather", ("origin",), ("visib", "wind"))


def made_rush() -> Derived:
    draft = Draft({"minute": "number", "weather__visib": "number", "carrier": "text", "dest": "text"})
    one = draft.constant("number", 1.0)
    outputs = {
        "load": draft.add("/", 0, draft.add("+", one, 1)),
        "curve": draft.add("log", draft.add("abs", 0)),
        "shuttle": draft.add("and", draft.add("==", 2, draft.constant("text", "UA")), draft.add("<", 1, one)),
        "home": draft.add("==", 3, draft.constant("text", "ÅÄ")),
        "minute": draft.add("coalesce", 0, one),
    }
    return Derived("rush", draft.finish(outputs))


RUSH = made_rush()
TABLE = pa.table(
    {
        "minute": [1000, 100, 0],
        "weather__visib": [0.5, None, 10.0],
        "carrier": ["UA", "AA", "UA"],
        "dest": ["ÅÄ", None, "BOS"],
        "late": [True, False, False],
    }
)


def inferred(*columns: str) -> Signature:
    return infer_signature(TABLE, "late", columns=columns, views=(WEATHER,), on_demand=(RUSH,))


EVERY = inferred("carrier", "minute", *RUSH.columns)


def test_a_signature_keeps_what_its_columns_need_and_no_more() -> None:
    signature = inferred("minute", "rush__curve", "rush__shuttle")
    assert signature.columns[1] == Column("rush__curve", transform="rush")
    assert [each.columns for each in signature.derived] == [("rush__curve", "rush__shuttle")]
    assert signature.inputs == (
        Column("weather__visib", view="weather", optional=True),
        Column("carrier", "category"),
    )
    assert [column.name for column in signature.request_columns] == ["minute", "carrier"]
    assert signature.keys == ("origin",)


def test_a_text_that_only_a_transform_reads_has_no_categories() -> None:
    signature = inferred("rush__home")
    assert signature.inputs == (Column("dest", "category", optional=True),)
    assert signature.encode_row({"dest": "never seen"}) == [0.0]
    assert math.isnan(signature.encode_row({})[0])


def test_a_model_column_is_no_further_input() -> None:
    assert inferred("carrier", "weather__visib", "rush__shuttle").inputs == ()


def test_transforms_that_no_column_names_leave_no_trace() -> None:
    assert inferred("minute", "carrier") == infer_signature(
        TABLE, "late", columns=("minute", "carrier"), views=(WEATHER,)
    )


NUMBERS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "float64": (pa.float64(), st.floats() | st.sampled_from([-0.0, 5e-324, -1.7e308])),
    "float32": (pa.float32(), st.floats(width=32)),
    "bool": (pa.bool_(), st.booleans()),
}
TEXTS = st.none() | st.sampled_from(["UA", "AA", "", "ÅÄ", "ZZ"])


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """The inputs in every type, with nulls, NaN and infinities, in several chunks."""
    rows = draw(st.integers(1, 5))
    cut = draw(st.integers(0, rows))
    arrays = {}
    for name in ("minute", "weather__visib"):
        kind, values = NUMBERS[draw(st.sampled_from(sorted(NUMBERS)))]
        held = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        arrays[name] = pa.chunked_array([held[:cut], held[cut:]], kind)
    for name in ("carrier", "dest"):
        held = draw(st.lists(TEXTS, min_size=rows, max_size=rows))
        arrays[name] = pa.chunked_array(
            [held[:cut], held[cut:]], draw(st.sampled_from([pa.string(), pa.large_string()]))
        )
    return pa.table(arrays)


@settings(max_examples=300)
@given(table=tables(), optional=st.booleans())
def test_a_row_and_a_table_are_the_same_numbers_to_the_bit(table: pa.Table, *, optional: bool) -> None:
    columns, inputs = (
        [replace(c, optional=optional) for c in each] for each in (EVERY.columns, EVERY.inputs)
    )
    signature = replace(EVERY, columns=tuple(columns), inputs=tuple(inputs))
    matrix = signature.encode_table(table)
    for at, values in enumerate(table.to_pylist()):
        try:
            row = signature.encode_row(values)
        except WrongInput as refused:  # a request is held to more than history
            value = values[refused.column]
            assert value is None or not math.isfinite(value)
            continue
        assert np.array(row).tobytes() == matrix[at].tobytes()


def test_a_signature_with_transforms_survives_json() -> None:
    plain = json.loads(canonical_json(EVERY.to_plain()))
    assert Signature.from_plain(plain) == EVERY
    assert digest_json(Signature.from_plain(plain).to_plain()) == digest_json(EVERY.to_plain())


def test_the_json_of_a_signature_without_transforms_is_what_it_was_before_there_were_any() -> None:
    columns = (
        Column("miles"),
        Column("carrier", "category", ("AA", "UA")),
        Column("w__wind", view="w", optional=True),
    )
    signature = Signature(columns, "late", (ViewRef("w", ("origin", "carrier"), ("wind",), 3_600_000_000),))
    known = "8658b8229c627c3855904d53eb6b2dd4011dd74e084f8a6b7f36ece8d5867a31"  # of a bundle that exists
    assert digest_json(signature.to_plain()) == known


def test_what_the_table_says_of_an_output_is_not_believed() -> None:
    signature = inferred("rush__load")
    forged = TABLE.append_column("rush__load", pa.array([7.0, 7.0, 7.0]))
    assert np.array_equal(signature.encode_table(forged), signature.encode_table(TABLE), equal_nan=True)
    assert signature.encode_row({"minute": 10, "weather__visib": 1.0, "rush__load": 7.0}) == [5.0]


def test_a_table_without_an_input_says_which() -> None:
    with pytest.raises(WrongInput, match="'minute' must be in the table"):
        inferred("rush__load").encode_table(TABLE.drop_columns(["minute"]))
    with pytest.raises(WrongInput, match="'carrier' must be text, found int64"):
        derive(TABLE.set_column(2, "carrier", TABLE["minute"]), RUSH)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"carrier": "UA"}, "'minute' must be a number, found nothing"),
        ({"minute": math.inf, "carrier": "UA"}, "'minute' must be a finite number"),
        ({"minute": "1", "carrier": "UA"}, "'minute' must be a number, found '1'"),
        ({"minute": 1}, "'carrier' must be a category, found nothing"),
        ({"minute": 1, "carrier": 7}, "'carrier' must be a text, found 7"),
    ],
)
def test_what_a_transform_asks_for_is_checked_like_any_input(values: dict[str, Any], expected: str) -> None:
    with pytest.raises(WrongInput, match=expected):
        inferred("rush__curve", "rush__shuttle").encode_row(values)


def test_a_name_has_one_supplier() -> None:
    view = ViewRef("rush", ("origin",), ("load",))
    with pytest.raises(WrongInput, match="'rush__load' must be of one view or transform; rename"):
        infer_signature(TABLE, "late", columns=("minute",), views=(view,), on_demand=(RUSH,))
    with pytest.raises(WrongInput, match="rename one of them"):
        infer_signature(TABLE, "late", columns=("minute",), on_demand=(RUSH, RUSH))


def test_a_transform_does_not_read_another() -> None:
    draft = Draft({"rush__load": "number"})
    again = Derived("again", draft.finish({"log": draft.add("log", 0)}))
    with pytest.raises(WrongInput, match=r"'rush__load' must be of the request or a view.*another's output"):
        infer_signature(TABLE, "late", columns=("again__log",), on_demand=(RUSH, again))


def test_a_transform_of_a_column_that_is_nowhere_is_refused() -> None:
    with pytest.raises(WrongInput, match="'rush__load' must be an output of 'rush', found no such transform"):
        Signature((Column("rush__load", transform="rush"),), "late")
    with pytest.raises(WrongInput, match="'minute' must be a column or an input"):
        Signature((Column("rush__curve", transform="rush"),), "late", derived=(RUSH.only(["rush__curve"]),))


def test_a_transform_that_asks_for_its_own_output_is_refused() -> None:
    plain = inferred("minute", "rush__curve").to_plain()
    plain["derived"][0]["inputs"] = [["rush__curve", "number"]]
    with pytest.raises(WrongInput, match="'rush__curve' must be a column or an input that no transform"):
        Signature.from_plain(plain)


def test_logged_vectors_are_decoded_and_recoded_like_any_other() -> None:
    signature = inferred("minute", "rush__curve")
    row = signature.encode_row({"minute": 1.0})
    assert signature.decode_row(row) == {"minute": 1.0, "rush__curve": 0.0}
    assert signature.recode(np.array([row]), inferred("rush__curve", "minute")).tolist() == [[0.0, 1.0]]
