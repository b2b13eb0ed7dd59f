from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.worlds import PLAIN, tree_model

from esteira.base.errors import BadInput
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature
from esteira.registry.tensors import TensorSignature, TensorSpec
from esteira.serving.combining import average
from esteira.serving.costs import Cost
from esteira.serving.live.probes import ROWS, UnfitToServe, check_rows, check_tensors, probe_rows
from esteira.serving.runtimes import open_runtime


class Twofold:
    """A runtime that is off by something in a batch, and says what a row scores."""

    def __init__(self, off: float = 0.0, score: float = 0.5, *, is_exact: bool | None = None) -> None:
        self._off, self._score = off, score
        if is_exact is not None:
            self.is_exact = is_exact

    def predict_row(self, row: list[float]) -> float:
        return self._score

    def predict(self, matrix: Any) -> Any:
        return np.full(len(matrix), self._score + self._off)


MODEL = Model("x", PLAIN, {})
COLUMNS = st.lists(
    st.builds(
        Column,
        name=st.text("abc", min_size=1),
        kind=st.sampled_from(["number", "category"]),
        categories=st.lists(st.text(max_size=2), max_size=4).map(tuple),
        view=st.sampled_from(["", "weather"]),
        optional=st.booleans(),
    ),
    max_size=6,
).map(tuple)


@given(columns=COLUMNS)
def test_every_probe_is_a_row_that_the_model_may_see(columns: tuple[Column, ...]) -> None:
    rows = probe_rows(columns)
    assert rows.shape == (ROWS, len(columns))
    assert np.array_equal(rows, probe_rows(columns), equal_nan=True)
    for values, column in zip(rows.T, columns, strict=True):
        if column.kind == "category":
            assert set(values[~np.isnan(values)]) <= set(range(len(column.categories)))
        else:
            given_ = values[~np.isnan(values)]
            assert ((given_ >= 0) & (given_ <= 1)).all()
            assert np.isfinite(values).all() or column.optional or not column.is_requested


def test_a_model_that_scores_alike_is_fit() -> None:
    model = tree_model(-1.0)
    check_rows(model, open_runtime(model))


def test_a_model_whose_batch_differs_is_not_fit_unless_it_says_that_it_is_not_exact() -> None:
    with pytest.raises(UnfitToServe, match=r"alone.*in a batch"):
        check_rows(MODEL, Twofold(1e-9))
    check_rows(MODEL, Twofold(1e-9, is_exact=False))
    with pytest.raises(UnfitToServe):
        check_rows(MODEL, Twofold(1e-3, is_exact=False))


@pytest.mark.parametrize("score", [np.nan, np.inf])
def test_a_model_whose_scores_are_no_numbers_is_not_fit(score: float) -> None:
    with pytest.raises(UnfitToServe, match="keep the one before"):
        check_rows(MODEL, Twofold(score=score))


class Picky(Twofold):
    """Refuses every row."""

    def predict_row(self, row: list[float]) -> float:
        raise BadInput("no rows like these")


class Judge(Picky):
    judges_rows = True


def test_a_model_that_refuses_what_its_signature_allows_is_not_served_unless_it_has_rules_of_its_own() -> (
    None
):
    with pytest.raises(BadInput, match="no rows"):
        check_rows(MODEL, Picky())
    check_rows(MODEL, Judge())


def test_a_model_without_columns_is_tried_too() -> None:
    check_rows(Model("x", Signature((), "late"), {}), Twofold())


class Tensors:
    """Doubles its input, with an error in a batch."""

    def __init__(self, off: float = 0.0, name: str = "y") -> None:
        self._off, self._name = off, name

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        found = inputs["x"] * 2 + (self._off if len(inputs["x"]) > 1 else 0.0)
        return {self._name: found}


BATCHED = TensorSignature((TensorSpec("x", "FP32", (-1, 3)),), (TensorSpec("y", "FP32", (-1, 3)),))
FIXED = TensorSignature(
    (TensorSpec("x", "FP32", (2, -1)), TensorSpec("t", "BYTES", (1,))), (TensorSpec("y", "FP32", (2, -1)),)
)


def test_tensors_are_compared_where_they_are_batched() -> None:
    check_tensors(BATCHED, Tensors())
    check_tensors(FIXED, Tensors(0.5))
    with pytest.raises(UnfitToServe, match="in a batch"):
        check_tensors(BATCHED, Tensors(0.5))


def test_outputs_must_be_those_of_the_signature() -> None:
    with pytest.raises(UnfitToServe, match="'y' should have shape"):
        check_tensors(BATCHED, Tensors(name="z"))


class Late(Twofold):
    """A combination of two members of which the second is there only when a row comes alone."""

    may_wait = True

    def __init__(self, off: float = 0.0, *, is_late: bool = True) -> None:
        super().__init__(off)
        self._is_late = is_late

    def predict_row_parts(self, row: list[float]) -> tuple[float, list[float]]:
        return self._score, [0.25, 0.75]

    def predict_parts(self, matrix: Any) -> Any:
        parts = [0.25, np.nan if self._is_late else 0.75]
        return self.predict(matrix), np.tile(parts, (len(matrix), 1))


def test_a_member_that_is_late_once_says_nothing_against_its_combination() -> None:
    cost = Cost()
    check_rows(MODEL, Late(0.1), cost)
    assert cost.of(1) == np.inf  # what a member is given up on costs says nothing of the next call
    with pytest.raises(UnfitToServe, match="in a batch"):
        check_rows(MODEL, Late(0.1, is_late=False))


def test_a_combination_is_tried_as_any_model() -> None:
    model = average({"a": tree_model(-1.0), "b": tree_model(1.0)}, deadlines_ms={"a": 60_000})
    check_rows(model, open_runtime(model))
