from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, UnknownName
from esteira.serving.load.rows import Field, body_of, drawn_rows, fields_of, path_of_model

FIELDS = (Field("miles", low=10, high=20), Field("carrier", "BYTES", ("AA", "UA")))
PIXELS = (Field("pixels", "UINT8", high=255, shape=(2, 3)),)


@given(st.integers(0, 50), st.integers(0, 2**32))
def test_drawn_rows_are_what_each_field_allows(count: int, seed: int) -> None:
    rows = drawn_rows(FIELDS, count, seed)
    assert len(rows) == count
    assert all(10 <= row["miles"] <= 20 and row["carrier"] in ("AA", "UA") for row in rows)
    assert rows == drawn_rows(FIELDS, count, seed)


def test_every_datatype_has_its_values() -> None:
    row = drawn_rows([Field("b", "BOOL"), Field("t", "BYTES"), Field("i", "INT8", low=3, high=3)], 1)[0]
    assert isinstance(row["b"], bool)
    assert isinstance(row["t"], str)
    assert row["i"] == 3


def test_tensors_have_their_shape() -> None:
    rows = drawn_rows(PIXELS, 2)
    assert [len(row["pixels"]) for row in rows] == [2, 2]
    tensor = json.loads(body_of(rows, PIXELS, "oip"))["inputs"][0]
    assert (tensor["shape"], tensor["datatype"]) == ([2, 2, 3], "UINT8")
    assert json.loads(body_of(rows, PIXELS, "invocations")) == {
        "inputs": {"pixels": [r["pixels"] for r in rows]}
    }


def test_bodies_hold_the_rows_in_each_protocol() -> None:
    rows = [{"miles": 1.0, "carrier": "AA"}, {"miles": 2.0, "carrier": None}]
    assert json.loads(body_of(rows, FIELDS, "oip"))["inputs"][1] == {
        "name": "carrier",
        "shape": [2],
        "datatype": "BYTES",
        "data": ["AA", None],
    }
    assert json.loads(body_of(rows, FIELDS, "invocations")) == {
        "dataframe_split": {"columns": ["miles", "carrier"], "data": [[1.0, "AA"], [2.0, None]]}
    }
    assert path_of_model("late", "oip") == "/v2/models/late/infer"
    assert path_of_model("late", "invocations") == "/invocations"


def test_a_protocol_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownName, match="oip"):
        body_of([], FIELDS, "oib")


@pytest.mark.parametrize("wrong", [{}, {"inputs": []}, {"inputs": [{"name": "x"}]}, {"inputs": 5}])
def test_metadata_that_says_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        fields_of(wrong)


def test_metadata_says_the_shape_of_one_row() -> None:
    said = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 28, -1]}]}
    assert fields_of(said) == (Field("x", "FP32", shape=(28, 1)),)
