"""A transform as data, run on one row and on columns."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.base.digest import canonical_json
from esteira.base.errors import CorruptArtifact, UnknownName
from esteira.registry import expressions
from esteira.registry.expressions import Draft, Expression
from esteira.registry.operations import OPERATIONS, Kind, WrongOperands

INPUTS: dict[str, Kind] = {"a": "number", "b": "number", "c": "number", "s": "text", "t": "text"}
TEXTS = ["", "UA", "AA", "ÅÄ"]
NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 5e-324, 1.7e308, math.inf, -math.inf, math.nan]), st.floats()
)


@st.composite
def drafts(draw: st.DrawFn) -> Expression:
    """Steps at random on whatever came before, each with operands that it takes."""
    draft = Draft(INPUTS)
    for number in draw(st.lists(st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 2.0]), max_size=3)):
        draft.constant("number", number)
    for text in draw(st.lists(st.sampled_from(TEXTS), max_size=2)):
        draft.constant("text", text)
    draft.constant("condition", 1.0)
    for _ in range(draw(st.integers(1, 12))):
        op = draw(st.sampled_from(sorted(OPERATIONS)))
        fitting = [
            [
                p
                for p, kind in enumerate(draft.kinds)
                if kind == takes or (takes, kind) == ("number", "condition")
            ]
            for takes in OPERATIONS[op].takes
        ]
        if OPERATIONS[op].is_open:
            fitting[1:] = [[p for p in fitting[1] if draft.is_known(p)]] * draw(st.integers(1, 3))
        if all(fitting):
            draft.add(op, *(draw(st.sampled_from(places)) for places in fitting))
    numbers = [place for place, kind in enumerate(draft.kinds) if kind != "text"]
    chosen = draw(st.lists(st.sampled_from(numbers), min_size=1, max_size=4))
    return draft.finish({f"o{at}": place for at, place in enumerate([*chosen, numbers[-1]])})


ROWS = st.lists(
    st.tuples(NUMBERS, NUMBERS, NUMBERS, *[st.none() | st.sampled_from(TEXTS)] * 2), min_size=1, max_size=5
)


def by_columns(expression: Expression, rows: list[tuple[Any, ...]]) -> list[bytes]:
    columns = [
        pa.array(values, pa.large_string()) if INPUTS[name] == "text" else np.array(values, dtype=np.float64)
        for name, values in zip(INPUTS, zip(*rows, strict=True), strict=True)
        if name in dict(expression.inputs)
    ]
    return [np.array(row).tobytes() for row in zip(*expression.columns(columns, len(rows)), strict=True)]


def by_rows(expression: Expression, rows: list[tuple[Any, ...]]) -> list[bytes]:
    asked = [at for at, name in enumerate(INPUTS) if name in dict(expression.inputs)]
    return [np.array(expression.row([row[at] for at in asked])).tobytes() for row in rows]


@settings(max_examples=300)
@given(drafts(), ROWS)
def test_rows_and_columns_are_equal_to_the_bit(expression: Expression, rows: list[tuple[Any, ...]]) -> None:
    assert by_rows(expression, rows) == by_columns(expression, rows)


@given(drafts(), ROWS, st.sets(st.integers(0, 4)))
def test_fewer_outputs_are_the_same_outputs(
    expression: Expression, rows: list[tuple[Any, ...]], kept: set[int]
) -> None:
    fewer = expression.only({f"o{at}" for at in kept})
    names = [name for name, _ in expression.outputs]
    places = [names.index(name) for name, _ in fewer.outputs]
    whole = [np.frombuffer(row)[places].tobytes() for row in by_rows(expression, rows)]
    assert by_rows(fewer, rows) == whole
    if places:
        assert by_columns(fewer, rows) == whole


@given(drafts())
def test_an_expression_survives_json(expression: Expression) -> None:
    plain = json.loads(canonical_json(expression.to_plain()))
    assert Expression.from_plain(plain) == expression
    assert canonical_json(Expression.from_plain(plain).to_plain()) == canonical_json(expression.to_plain())


def test_long_columns_are_computed_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "_BATCH", 3)
    draft = Draft({"a": "number", "s": "text"})
    found = draft.finish(
        {
            "o": draft.add("if", draft.add("==", 1, draft.constant("text", "UA")), 0, 0),
            "one": draft.constant("number", 1.0),
        }
    )
    numbers = np.arange(8.0)
    assert [
        each.tolist() for each in found.columns([numbers, pa.array(["UA"] * 8, pa.large_string())], 8)
    ] == [
        numbers.tolist(),
        [1.0] * 8,
    ]


def test_no_rows_are_no_values() -> None:
    draft = Draft({"a": "number"})
    assert [each.shape for each in draft.finish({"o": draft.add("log", 0)}).columns([np.empty(0)], 0)] == [
        (0,)
    ]


def test_equal_steps_are_one_and_what_is_known_is_computed_beforehand() -> None:
    draft = Draft({"a": "number"})
    two = draft.add("+", draft.constant("number", 1.0), draft.constant("number", 1.0))
    assert draft.is_known(two)
    assert draft.add("*", 0, two) == draft.add("*", 0, draft.constant("number", 2.0))
    assert draft.constant("number", 0.0) != draft.constant("number", -0.0)
    known = draft.add("<", draft.constant("number", 1.0), two)
    assert draft.add("if", known, 0, two) == 0


def test_fewer_outputs_ask_for_fewer_inputs() -> None:
    draft = Draft({"a": "number", "b": "number"})
    both = draft.finish(
        {"half": draft.add("/", 1, draft.constant("number", 2.0)), "log": draft.add("log", 0)}
    )
    assert both.only({"half"}).to_plain() == {
        "inputs": [["b", "number"]],
        "steps": [["number", 2.0], ["/", 0, 1]],
        "outputs": [["half", 2]],
    }


def test_a_text_is_no_output() -> None:
    with pytest.raises(WrongOperands, match="'output s' takes a number, found a text"):
        Draft({"s": "text"}).finish({"s": 0})


def test_options_are_the_same_in_every_row() -> None:
    with pytest.raises(WrongOperands, match="'in' takes a number and a constant"):
        Draft({"a": "number", "b": "number"}).add("in", 0, 1)


@pytest.mark.parametrize(
    "steps",
    [
        [["+", 0, 2]],  # itself
        [["+", 0, -1]],
        [["+", 0]],
        [["+", 0, 1], ["not", 2]],
        [["number"]],
        [["number", "far"]],
        [["+", 0, None]],
        [7],
        [[]],
    ],
)
def test_steps_that_fit_nothing_are_refused(steps: list[Any]) -> None:
    plain = {"inputs": [["a", "number"], ["b", "number"]], "steps": steps, "outputs": [["o", 2]]}
    with pytest.raises(CorruptArtifact, match="a transform"):
        Expression.from_plain(plain)


def test_an_operation_of_a_later_version_is_named() -> None:
    plain = {"inputs": [["a", "number"]], "steps": [["gamma", 0]], "outputs": [["o", 1]]}
    with pytest.raises(UnknownName, match="unknown operation 'gamma'"):
        Expression.from_plain(plain)
