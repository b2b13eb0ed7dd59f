from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, UnknownName
from esteira.registry.columns import WrongInput
from esteira.registry.tensors import TensorSignature, TensorSpec
from esteira.serving.work import ColumnsWork, TensorsWork, checked_tensors, score_together

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PIXELS = TensorSignature(
    (TensorSpec("pixels", "FP32", (-1, 2)), TensorSpec("name", "BYTES", (-1,))),
    (TensorSpec("sum", "FP32", (-1,)),),
)


class Sums:
    """A version whose runtimes add up what they are given, and count their calls."""

    class signature:  # noqa: N801 - as the attribute of a version
        columns = (1, 2)

    def __init__(self) -> None:
        self.runtime = self.tensor_runtime = self
        self.calls = 0

    def predict_row(self, row: list[float]) -> float:
        self.calls += 1
        return row[0] + row[1]

    def predict(self, matrix: NDArray[Any]) -> NDArray[Any]:
        self.calls += 1
        return matrix[:, 0] + matrix[:, 1]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.calls += 1
        return {"sum": inputs["pixels"].sum(axis=1), "twice": inputs["pixels"] * 2}


ROWS = st.lists(st.lists(st.floats(-9, 9), min_size=2, max_size=2), min_size=1, max_size=4)


@given(st.lists(ROWS, min_size=1, max_size=5))
def test_rows_that_go_together_are_scored_as_alone_in_one_call(requests: list[list[list[float]]]) -> None:
    together = Sums()
    joined = score_together(together, [ColumnsWork(rows) for rows in requests])
    alone = [ColumnsWork(rows).score(Sums()) for rows in requests]
    assert [each.scores for each in joined] == [each.scores for each in alone]
    assert together.calls == 1


@given(st.lists(ROWS, min_size=1, max_size=5))
def test_tensors_that_go_together_give_each_its_own_outputs(requests: list[list[list[float]]]) -> None:
    together = Sums()
    works = [TensorsWork({"pixels": np.array(rows)}, is_batched=True) for rows in requests]
    joined = score_together(together, works)
    assert together.calls == 1
    for work, each in zip(works, joined, strict=True):
        assert each.outputs is not None
        assert each.outputs["twice"].tolist() == (work.inputs["pixels"] * 2).tolist()
        assert each.scores == work.score(Sums()).scores


def test_only_tensors_of_one_shape_join() -> None:
    small, wide = (TensorsWork({"x": np.zeros((1, n))}, is_batched=True) for n in (2, 3))
    assert small.joins(TensorsWork({"x": np.zeros((5, 2))}, is_batched=True))
    assert not small.joins(wide)
    assert not small.joins(TensorsWork({"x": np.zeros((1, 2))}, is_batched=False))
    assert not small.joins(ColumnsWork([[1.0]]))


def test_what_is_logged_of_tensors_are_their_numbers_row_by_row() -> None:
    inputs = {
        "x": np.array([[1, 2], [3, 4]]),
        "y": np.array([[5.0], [6.0]]),
        "s": np.array(["a", "b"], object),
    }
    work = TensorsWork(inputs, is_batched=True)
    assert np.frombuffer(work.packed()).reshape(2, -1).tolist() == [[1, 2, 5], [3, 4, 6]]
    image = TensorsWork({"x": np.zeros((1, 100, 100))}, is_batched=True)
    assert image.packed() == b""
    assert list(image.vector()) == []


def test_the_logged_score_is_the_first_number_of_the_first_output() -> None:
    class Words(Sums):
        def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            return {"word": np.array(["a"], dtype=object)}

    work = TensorsWork({"pixels": np.array([[1.0, 2.0]])}, is_batched=True)
    assert work.score(Sums()).scores == [3.0]
    assert math.isnan(work.score(Words()).scores[0])


def test_the_time_of_a_joined_call_is_dealt_out_by_rows() -> None:
    one, three = score_together(Sums(), [ColumnsWork([[1.0, 1.0]]), ColumnsWork([[1.0, 1.0]] * 3)])
    assert three.seconds == pytest.approx(3 * one.seconds)


GOOD = {"pixels": np.zeros((2, 2), "float32"), "name": np.array(["a", "b"], object)}


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"more": np.zeros(1)}, UnknownName, "unknown tensor 'more'"),
        ({"pixels": np.zeros((2, 2))}, WrongInput, "of datatype FP32, found float64"),
        ({"pixels": np.zeros((2, 3), "float32")}, WrongInput, r"of shape \[-1, 2\]"),
        ({"pixels": np.zeros((3, 2), "float32")}, BadInput, "differ in their number of rows"),
        ({"pixels": np.float32(1)}, WrongInput, "of shape"),
    ],
)
def test_tensors_that_are_not_the_models_are_refused_by_name(
    changed: dict[str, Any], error: type[Exception], said: str
) -> None:
    assert list(checked_tensors(PIXELS, GOOD)) == ["pixels", "name"]
    with pytest.raises(error, match=said):
        checked_tensors(PIXELS, {**GOOD, **changed})


def test_a_tensor_that_is_not_there_is_named() -> None:
    with pytest.raises(WrongInput, match="'name' must be a tensor of BYTES, found nothing"):
        checked_tensors(PIXELS, {"pixels": GOOD["pixels"]})


def test_outputs_that_are_not_row_by_row_are_dealt_to_nobody_else() -> None:
    class Hits(Sums):
        """As many hits as there are numbers above zero, whatever the rows."""

        def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            return {"hits": inputs["x"][inputs["x"] > 0]}

    works = [
        TensorsWork({"x": np.array(rows)}, is_batched=True)
        for rows in ([[1, -1], [-1, -1]], [[2, 3], [-1, -1]])
    ]
    found = score_together(Hits(), works)
    assert [each.outputs["hits"].tolist() for each in found if each.outputs] == [[1], [2, 3]]
    assert math.isnan(found[0].scores[0])
    assert found[1].scores == [2.0, 3.0]


def test_rows_without_numbers_are_not_endless() -> None:
    empty = TensorSignature((TensorSpec("x", "FP32", (-1, -1)),), (TensorSpec("y", "FP32", (-1, -1)),))
    with pytest.raises(BadInput, match="at most 50000 rows"):
        checked_tensors(empty, {"x": np.zeros((10**9, 0), "float32")})


class Parted(Sums):
    """The same of a combination of two members, of which the second gives nothing to the first row."""

    def predict_row_parts(self, row: list[float]) -> tuple[float, list[float]]:
        return self.predict_row(row), [row[0], math.nan]

    def predict_parts(self, matrix: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        return self.predict(matrix), np.column_stack([matrix[:, 0], np.full(len(matrix), math.nan)])


@given(st.lists(ROWS, min_size=1, max_size=5))
def test_the_parts_of_rows_that_go_together_are_those_of_each(requests: list[list[list[float]]]) -> None:
    together = Parted()
    joined = score_together(together, [ColumnsWork(rows) for rows in requests])
    expected = [[part for row in rows for part in (row[0], math.nan)] for rows in requests]
    assert repr([each.parts for each in joined]) == repr(expected)
    assert [each.scores for each in joined] == [ColumnsWork(rows).score(Sums()).scores for rows in requests]
    assert together.calls == 1
    assert all(ColumnsWork(rows).score(Sums()).parts is None for rows in requests)
