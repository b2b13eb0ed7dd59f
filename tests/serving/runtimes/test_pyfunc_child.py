from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.foreign import doubling, pickled, wild

from esteira.registry.columns import Column
from esteira.serving.runtimes.frames import (
    REFUSED,
    ROWS,
    SCORES,
    TENSORS,
    UNUSABLE,
    pack_rows,
    pack_tensors,
    unpack_rows,
    unpack_scores,
    unpack_tensors,
)
from esteira.serving.runtimes.pyfunc_child import (
    Answers,
    NoScores,
    describe,
    frame_of,
    scores_of,
    tensors_of,
    told,
)


@pytest.mark.parametrize(
    ("answered", "scores"),
    [
        ([0.25, 0.5], [0.25, 0.5]),
        ([1, 0], [1.0, 0.0]),
        ([True, False], [1.0, 0.0]),
        (np.array([[0.25], [0.5]], dtype=np.float32), [0.25, 0.5]),
        (np.array([[0.75, 0.25], [0.5, 0.5]]), [0.25, 0.5]),
        (pd.Series([0.25, 0.5], index=[7, 8]), [0.25, 0.5]),
        (pd.DataFrame({"p": [0.25, 0.5]}), [0.25, 0.5]),
        (pd.DataFrame({"p": [0.25, 0.5]}, dtype=object), [0.25, 0.5]),
        (pd.Series([0.25, 0.5], dtype="Float64"), [0.25, 0.5]),
    ],
    ids=str,
)
def test_whatever_holds_one_number_a_row_is_scores(answered: Any, scores: list[float]) -> None:
    assert scores_of(answered, 2).tolist() == scores


@pytest.mark.parametrize(
    ("answered", "found"),
    [
        (None, "a NoneType"),
        ({"p": [1, 2]}, "a dict"),
        ("high", "a str"),
        (["a", "b"], "a list of <U1"),
        (np.array(["0.25", "0.5"], dtype=object), "a ndarray of object"),
        ([0.5], r"numbers of shape \(1,\) for 2 rows"),
        (0.5, r"numbers of shape \(\) for 2 rows"),
        (np.zeros((2, 3)), r"numbers of shape \(2, 3\) for 2 rows"),
        (np.zeros((2, 2, 1)), r"numbers of shape \(2, 2, 1\) for 2 rows"),
        (np.zeros(2, dtype=complex), "complex128"),
        ([[1, 2], [3]], "lists of different lengths"),
        (pd.DataFrame({"label": [1, 0], "p": [0.5, 0.5]}), "a frame of the columns label, p"),
    ],
    ids=str,
)
def test_anything_else_is_told_as_what_it_is(answered: Any, found: str) -> None:
    with pytest.raises(NoScores, match=found):
        scores_of(answered, 2)


@given(scores=st.lists(st.floats(), min_size=1))
def test_scores_keep_their_bits(scores: list[float]) -> None:
    assert scores_of(np.array(scores)[:, np.newaxis], len(scores)).tobytes() == np.array(scores).tobytes()


def test_tensors_come_by_name_from_dictionaries_frames_and_arrays() -> None:
    assert tensors_of({"a": [1], "b": [2]}, "output").keys() == {"a", "b"}
    assert tensors_of(pd.DataFrame({"a": [1, 2]}), "output")["a"].tolist() == [1, 2]
    assert tensors_of([[1.0]], "output")["output"].tolist() == [[1.0]]
    with pytest.raises(NoScores, match="different lengths"):
        tensors_of([[1], [1, 2]], "output")


def rows(*values: float) -> Any:
    columns = tuple(Column(name) for name in "abcd"[: len(values)])
    return unpack_rows(pack_rows(columns, np.array([values])))


def test_numbers_get_the_type_that_the_model_asks_for_unless_that_would_change_them() -> None:
    types = [("a", "int64"), ("b", "int32"), ("c", "bool"), ("d", "float32")]
    assert [str(kind) for kind in frame_of(rows(1, 2, 1, 0.1), types).dtypes] == [
        "int64",
        "int32",
        "bool",
        "float32",
    ]
    changed = frame_of(rows(1.5, 2**40, 2, np.nan), types).dtypes
    assert [str(kind) for kind in changed] == ["float64", "float64", "float64", "float32"]
    assert str(frame_of(rows(np.nan), types).dtypes["a"]) == "float64"


def test_columns_without_names_are_those_of_their_places() -> None:
    assert [str(kind) for kind in frame_of(rows(1, 1), [(None, "float64"), (None, "int64")]).dtypes] == [
        "float64",
        "int64",
    ]


def test_a_missing_text_is_none() -> None:
    column = Column("c", "category", ("x",))
    frame = frame_of(unpack_rows(pack_rows((column,), np.array([[0.0], [np.nan]]))), [])
    assert frame["c"].tolist() == ["x", None]


def test_an_error_is_one_line_and_keeps_its_trace_apart() -> None:
    try:
        raise ValueError("a\n  b" + "x" * 1000)
    except ValueError as raised:
        found = msgspec.json.decode(told(raised))
    assert found["reason"].startswith("ValueError: a bxxx")
    assert len(found["reason"]) == 300
    assert "Traceback" in found["trace"]


def of_no_schema(predict: Any) -> Answers:
    metadata = SimpleNamespace(get_input_schema=lambda: None, get_output_schema=lambda: None)
    return Answers(SimpleNamespace(metadata=metadata, predict=predict))


def test_a_question_of_rows_is_answered_with_scores_a_refusal_or_what_was_found() -> None:
    content = pack_rows((Column("a"),), np.array([[0.5], [1.0]]))
    kind, answer = of_no_schema(lambda frame: frame["a"] / 2).answer(ROWS, content)
    assert (kind, unpack_scores(answer).tolist()) == (SCORES, [0.25, 0.5])
    kind, answer = of_no_schema(lambda frame: frame["no"]).answer(ROWS, content)
    assert (kind, msgspec.json.decode(answer)["reason"]) == (REFUSED, "KeyError: 'no'")
    kind, answer = of_no_schema(lambda frame: "high").answer(ROWS, content)
    assert (kind, msgspec.json.decode(answer)["reason"]) == (UNUSABLE, "a str")


def test_one_tensor_without_a_name_is_an_array_and_several_are_a_dictionary() -> None:
    answers = of_no_schema(lambda given: given["y"] if isinstance(given, dict) else given)
    for tensors in ({"x": np.ones(2)}, {"x": np.zeros(3), "y": np.ones(2)}):
        kind, answer = answers.answer(TENSORS, pack_tensors(tensors))
        assert (kind, unpack_tensors(answer)["output"].tolist()) == (TENSORS, [1.0, 1.0])
    unknown = of_no_schema(lambda given: given * 1j)
    assert unknown.answer(TENSORS, pack_tensors({"x": np.ones(1)}))[0] == UNUSABLE


def test_a_garbled_question_is_refused_and_the_next_one_is_answered() -> None:
    answers = of_no_schema(lambda frame: [0.5])
    assert answers.answer(ROWS, b"junk")[0] == REFUSED
    assert answers.answer(ROWS, pack_rows((Column("a"),), np.zeros((1, 1))))[0] == SCORES


@pytest.mark.slow
def test_a_description_tells_flavors_and_signature_and_loads_no_model() -> None:
    found = msgspec.json.decode(describe(str(pickled())))
    assert found["flavors"]["sklearn"]["serialization_format"] == "cloudpickle"
    assert (found["inputs"], found["outputs"]) == (None, None)
    inputs = msgspec.json.decode(describe(str(wild())))["inputs"]
    assert inputs == [
        {"type": "double", "name": "a", "required": True},
        {"type": "long", "name": "b", "required": True},
        {"type": "string", "name": "c", "required": False},
    ]
    inputs = msgspec.json.decode(describe(str(doubling())))["inputs"]
    assert inputs == [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]
