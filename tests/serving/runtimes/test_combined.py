from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts.runtime import RuntimeContract
from tests.serving.combining.models import line, summing
from tests.serving.foreign import allowed, wild
from tests.serving.runtimes.test_lightgbm import SIGNATURE, trained
from tests.serving.worlds import PLAIN, tree_model, tree_score

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.registry.bundle import Model
from esteira.registry.columns import Column
from esteira.registry.signature import Signature
from esteira.serving.combining import (
    Average,
    Cascade,
    Fallback,
    Vote,
    average,
    cascade,
    fallback,
    graph,
    stacked,
    weighted,
)
from esteira.serving.combining.failures import MembersFailed, RowsRefused
from esteira.serving.runtimes import open_runtime
from esteira.serving.runtimes.combined import CombinedRuntime
from esteira.serving.runtimes.packing import pack_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SUM = summing(SIGNATURE.columns, *(0.5, -1.0, 0.25, 0.0, 2.0, 1.0, 0.0), is_logistic=True)
WILD = Signature((Column("a"), Column("b"), Column("c", "category", ("x", "y"))), "late")
HANGS = {"a": 2, "b": 0, "c": "x"}


@cache
def mixed() -> Model:
    """Trees, the mean of them and a sum where they are unsure, and the sum if nobody says anything."""
    nodes = [
        Average("both", ("trees", "sum")),
        Cascade("careful", ("trees", "both"), ((0.3, 0.7),)),
        Fallback("answer", ("careful", "sum")),
    ]
    return graph({"trees": trained(), "sum": SUM}, nodes)


class TestCombinedRuntime(RuntimeContract):
    def model(self) -> Model:
        return mixed()

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        trees, other = open_runtime(trained()).predict(matrix), open_runtime(SUM).predict(matrix)
        return np.where((trees > 0.3) & (trees < 0.7), (trees + other) / 2, trees)


class TestTimedRuntime(TestCombinedRuntime):
    """The same where one member has a deadline that it meets."""

    def model(self) -> Model:
        return weighted(
            {"trees": trained(), "sum": SUM}, {"trees": 0.75, "sum": 0.25}, deadlines_ms={"trees": 60_000}
        )

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return 0.75 * open_runtime(trained()).predict(matrix) + 0.25 * open_runtime(SUM).predict(matrix)


def opened(model: Model) -> CombinedRuntime:
    runtime = open_runtime(model)
    assert isinstance(runtime, CombinedRuntime)
    return runtime


NUMBERS = st.floats(-1e3, 1e3) | st.just(math.nan)
MEMBERS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    st.tuples(st.sampled_from(["miles", "gust"]), st.floats(-2, 2)).map(lambda it: line(it[1], it[0])),
    min_size=2,
)


@settings(deadline=None)
@given(members=MEMBERS, rows=st.lists(st.lists(NUMBERS, min_size=2, max_size=2), min_size=1, max_size=5))
@pytest.mark.parametrize("kind", ["average", "vote", "cascade", "stacked"])
def test_any_combination_of_exact_members_is_exact(
    kind: str, members: dict[str, Model], rows: list[list[float]]
) -> None:
    names, bands = (*members,), ((-0.5, 0.5),) * (len(members) - 1)
    final = summing([Column(name) for name in names], *(0.3, 0.3, 0.4, 0.1)[: len(names)])
    made = {
        "average": lambda: average(members),
        "vote": lambda: graph(members, [Vote("n", names, (0.0,) * len(names))]),
        "cascade": lambda: graph(members, [Cascade("n", names, bands)]),
        "stacked": lambda: stacked(members, final),
    }[kind]()
    runtime = opened(made)
    assert runtime.is_exact
    assert runtime.members == names
    matrix = np.array(rows)[:, : len(made.signature.columns)]
    alone = [runtime.predict_row_parts(row) for row in matrix.tolist()]
    scores, parts = runtime.predict_parts(matrix)
    assert scores.tolist() == [score for score, _ in alone]
    assert repr(parts.tolist()) == repr([found for _, found in alone])
    assert runtime.predict(matrix).tolist() == [runtime.predict_row(row) for row in matrix.tolist()]


def test_each_members_share_is_told_and_nothing_of_those_that_were_not_asked() -> None:
    runtime = opened(cascade({"fast": tree_model(-1.0), "deep": tree_model(-2.0)}, {"fast": (0.2, 0.5)}))
    rows = [PLAIN.encode_row({"miles": miles, "carrier": "UA"}) for miles in (600, 100)]
    sure, unsure = (runtime.predict_row_parts(row) for row in rows)
    assert repr(sure) == repr((tree_score(3.0), [tree_score(3.0), math.nan]))
    assert unsure == (tree_score(-2.0), [tree_score(-1.0), tree_score(-2.0)])
    scores, parts = runtime.predict_parts(np.array(rows))
    assert scores.tolist() == [sure[0], unsure[0]]
    assert repr(parts.tolist()) == repr([sure[1], unsure[1]])
    assert runtime.predict_parts(np.empty((0, 3)))[1].shape == (0, 2)


@pytest.mark.slow
def test_a_combination_is_as_exact_and_as_patient_as_its_members() -> None:
    with allowed():
        remote = Model("pyfunc", WILD, {"model.tar": pack_folder(wild())})
        runtime = opened(average({"remote": remote, "local": line(0.5, "a", optional=False)}))
    assert (runtime.is_exact, runtime.judges_rows, runtime.may_wait) == (False, True, False)
    quick = opened(mixed())
    assert (quick.is_exact, quick.judges_rows, quick.may_wait) == (True, False, False)
    inner = fallback({"a": line(1.0), "b": line(2.0)}, deadlines_ms={"a": 1000})
    assert opened(average({"inner": inner, "c": line(1.0)})).may_wait


@pytest.fixture(scope="module")
def remote() -> Iterator[Model]:
    with allowed():
        yield Model("pyfunc", WILD, {"model.tar": pack_folder(wild())})


@pytest.mark.slow
def test_who_hangs_is_given_up_at_the_deadline_and_the_next_one_answers(remote: Model) -> None:
    local = line(0.5, "a", optional=False)
    model = fallback({"remote": remote, "local": local}, deadlines_ms={"remote": 500})
    runtime = opened(model)
    assert runtime.predict_row_parts(WILD.encode_row({**HANGS, "a": 10}))[0] == 1.0
    began, row = time.monotonic(), WILD.encode_row(HANGS)
    for _ in range(5):
        assert repr(runtime.predict_row_parts(row)) == repr((1.0, [math.nan, 1.0]))
    assert runtime.predict(np.array([row, row])).tolist() == [1.0, 1.0]
    assert time.monotonic() - began < 2


@pytest.mark.slow
def test_an_average_lacks_who_is_late_only_if_it_may(remote: Model) -> None:
    members = {"remote": remote, "local": line(0.5, "a", optional=False)}
    row = WILD.encode_row(HANGS)
    assert opened(average(members, may_lack=True, deadlines_ms={"remote": 300})).predict_row(row) == 1.0
    strict = opened(average(members, deadlines_ms={"remote": 300}))
    with pytest.raises(MembersFailed, match="remote: no answer in 300 ms") as failed:
        strict.predict_row(row)
    assert "local" not in failed.value.failures
    with pytest.raises(MembersFailed, match="remote: still busy"):
        strict.predict(np.array([row]))


@pytest.mark.slow
def test_a_row_that_a_member_refuses_is_answered_by_the_others_or_refused(remote: Model) -> None:
    members = {"remote": remote, "local": line(0.5, "a", optional=False)}
    rows = [WILD.encode_row({**HANGS, "a": a}) for a in (10, 1)]  # 1 is not to its taste
    assert opened(fallback(members)).predict(np.array(rows[::-1])).tolist() == [0.5, 1.0]
    with pytest.raises(RowsRefused, match=r"remote: .*not"):
        opened(average(members)).predict_row(rows[1])
    assert issubclass(RowsRefused, BadInput)


def test_a_member_that_its_runtime_cannot_read_is_corrupt() -> None:
    broken = replace(tree_model(-1.0), files={"model.txt": b"tree"})
    with pytest.raises(CorruptArtifact, match=r"model.txt"):
        open_runtime(average({"a": tree_model(1.0), "b": broken}))
