from __future__ import annotations

import math
import time
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving.combining.models import Moody

from esteira.registry.columns import Column
from esteira.registry.signature import Signature
from esteira.serving.combining.columns import MemberColumns
from esteira.serving.combining.evaluation import Final, node_source
from esteira.serving.combining.nodes import Average, Cascade, Fallback, Stacked, Vote, Weighted
from esteira.serving.combining.passes import ManyRows, OneRow
from esteira.serving.combining.sources import AskedModel, InlineMember, TimedMember

if TYPE_CHECKING:
    from esteira.serving.combining.nodes import Node
    from esteira.serving.combining.passes import Source

NAMES, GONE = ("a", "b", "c"), Moody.NAN
JOINT = Signature(tuple(Column(name) for name in NAMES), "late")


class Least:
    """A final model: the least of the scores that are there."""

    def predict_row(self, row: list[float]) -> float:
        return float(np.nanmin(row))

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return np.nanmin(matrix, axis=1)


class Graph:
    """Nodes over three members that say what stands in their columns; c has a deadline if told."""

    def __init__(self, *nodes: Node, deadline_ms: float | None = None, sleeps_s: float = 0.3) -> None:
        self.scorers = [Moody(sleeps_s) for _ in NAMES]
        self.sources: list[Source] = []
        for place, (name, scorer) in enumerate(zip(NAMES, self.scorers, strict=True)):
            columns = MemberColumns(JOINT, Signature((Column(name),), "late"))
            if deadline_ms is not None:
                self.sources.append(TimedMember(name, scorer, columns, place, deadline_ms))
            else:
                self.sources.append(InlineMember(name, scorer, columns))
        places = {name: n for n, name in enumerate([*NAMES, *(node.name for node in nodes)])}
        timed = [] if deadline_ms is None else [0, 1, 2]
        for node in nodes:
            final = Final(AskedModel(node.name, Least()), node.over) if isinstance(node, Stacked) else None
            self.sources.append(node_source(node, places, timed, final))

    def of_row(self, *row: float) -> tuple[float, list[float | None]]:
        one = OneRow(self.sources, [*row])
        return one.value(len(self.sources) - 1), one.given[:3]

    def of_rows(self, rows: list[tuple[float, ...]]) -> tuple[list[float], list[list[float]]]:
        many = ManyRows(self.sources, np.array(rows, dtype=float).reshape(len(rows), 3))
        scores = many.values(len(self.sources) - 1, np.arange(len(rows)))
        return scores.tolist(), many.given[:3].T.tolist()

    def score(self, *row: float) -> float:
        return self.of_row(*row)[0]


def gone(score: float) -> bool:
    return math.isnan(score)


OVER = st.permutations(NAMES)
NODES = (
    st.builds(lambda over, may: [Average("n", (*over,), may)], OVER, st.booleans())
    | st.builds(lambda over, may: [Weighted("n", (*over,), (0.3, 0.6, 0.1), may)], OVER, st.booleans())
    | st.builds(
        lambda over, hard, may: [Vote("n", (*over,), (0.5, 0.25, 0.75), hard, may)],
        OVER,
        st.booleans(),
        st.booleans(),
    )
    | st.builds(lambda over, may: [Stacked("n", (*over,), may)], OVER, st.booleans())
    | st.builds(
        lambda over, may: [Cascade("n", (*over,), ((0.2, 0.8), (0.4, 0.6)), may)], OVER, st.booleans()
    )
    | st.builds(lambda over: [Fallback("n", (*over,))], OVER)
    | st.builds(
        lambda over, may, lacks: [
            Average("m", (over[0], over[1]), may),
            Cascade("n", (over[2], "m"), ((0.2, 0.8),), lacks),
            Fallback("o", ("n", over[0])),
        ],
        OVER,
        st.booleans(),
        st.booleans(),
    )
)
SCORES = st.floats(0, 1) | st.floats(-1e308, 1e308).filter(lambda x: x > 0) | st.sampled_from([GONE, 0.5])
ROWS = st.lists(st.tuples(SCORES | st.just(Moody.REFUSES), SCORES, SCORES), max_size=6)


@settings(max_examples=300)
@given(NODES, ROWS)
def test_a_row_gets_the_same_bits_and_the_same_parts_alone_and_in_a_batch(
    nodes: list[Node], rows: list[tuple[float, ...]]
) -> None:
    graph = Graph(*nodes)
    alone = [graph.of_row(*row) for row in rows]
    scores, parts = graph.of_rows(rows)
    assert repr(scores) == repr([score for score, _ in alone])
    expected = [[math.nan if part is None else part for part in found] for _, found in alone]
    assert repr(parts) == repr(expected)


@given(st.lists(st.floats(0, 1) | st.just(GONE), min_size=3, max_size=3))
def test_those_that_are_there_share_the_weight_of_those_that_are_not(row: list[float]) -> None:
    weights = (0.3, 0.6, 0.1)
    found = Graph(Weighted("n", NAMES, weights, may_lack=True)).score(*row)
    there = [(Fraction(w), Fraction(s)) for w, s in zip(weights, row, strict=True) if s != GONE]
    if there:
        expected = float(sum(w * s for w, s in there) / sum(w for w, _ in there))
        assert found == pytest.approx(expected, rel=1e-12)
    else:
        assert gone(found)
    strict = Graph(Weighted("n", NAMES, weights)).score(*row)
    assert gone(strict) if GONE in row else strict == found


def test_an_average_of_one_kind_is_the_plain_mean() -> None:
    assert Graph(Average("n", NAMES)).score(0.25, 0.5, 0.75) == 0.5
    assert Graph(Average("n", NAMES, may_lack=True)).score(0.25, GONE, 0.75) == 0.5


def test_a_mean_beyond_all_numbers_is_no_score_and_says_so() -> None:
    graph = Graph(Average("n", NAMES))
    one = OneRow(graph.sources, [1e308] * 3)
    assert gone(one.value(3))
    assert "its score was inf" in str(one.failures["n"])


@pytest.mark.parametrize(
    ("row", "share", "hard"),
    [
        ((0.6, 0.6, 0.6), 1.0, 1.0),
        ((0.6, 0.5, 0.4), 1 / 3, 0.0),  # at its threshold is not above it
        ((0.6, GONE, 0.4), 0.5, 0.0),  # half is no majority
        ((0.6, GONE, GONE), 1.0, 1.0),
    ],
)
def test_votes_are_counted_of_those_that_are_there(row: tuple[float, ...], share: float, hard: float) -> None:
    half = (0.5, 0.5, 0.5)
    assert Graph(Vote("n", NAMES, half, may_lack=True)).score(*row) == share
    assert Graph(Vote("n", NAMES, half, majority=True, may_lack=True)).score(*row) == hard
    assert gone(Graph(Vote("n", NAMES, half)).score(*row)) == (GONE in row)
    assert gone(Graph(Vote("n", NAMES, half, may_lack=True)).score(GONE, GONE, GONE))


def test_a_final_model_sees_what_is_there_if_it_may_lack_something() -> None:
    assert Graph(Stacked("n", NAMES)).score(0.5, 0.25, 0.75) == 0.25
    assert gone(Graph(Stacked("n", NAMES)).score(0.5, GONE, 0.75))
    assert Graph(Stacked("n", NAMES, may_lack=True)).score(0.5, GONE, 0.75) == 0.5
    assert gone(Graph(Stacked("n", NAMES, may_lack=True)).score(GONE, GONE, GONE))


CASCADE = Cascade("n", NAMES, ((0.2, 0.8), (0.4, 0.6)))


@pytest.mark.parametrize(
    ("row", "score", "asked"),
    [
        ((0.9, 0.1, 0.3), 0.9, [1, 0, 0]),
        ((0.8, 0.1, 0.3), 0.8, [1, 0, 0]),  # a bound is sure
        ((0.5, 0.1, 0.3), 0.1, [1, 1, 0]),
        ((0.5, 0.5, 0.3), 0.3, [1, 1, 1]),
        ((0.5, 0.5, 0.5), 0.5, [1, 1, 1]),  # the last is always sure
    ],
)
def test_the_next_of_a_cascade_is_asked_only_for_what_is_unsure(
    row: tuple[float, ...], score: float, asked: list[int]
) -> None:
    alone, batch = Graph(CASCADE), Graph(CASCADE)
    assert alone.score(*row) == score
    assert [each.asked for each in alone.scorers] == asked
    assert batch.of_rows([row, row])[0] == [score, score]
    assert [each.asked for each in batch.scorers] == asked


def test_a_stage_of_a_cascade_that_gives_nothing_is_unsure_if_it_may_lack() -> None:
    tolerant = Graph(Cascade("n", NAMES, CASCADE.unsure, may_lack=True))
    assert tolerant.score(GONE, 0.1, 0.3) == 0.1
    assert tolerant.score(0.5, GONE, GONE) == 0.5  # better unsure than nothing
    assert gone(Graph(CASCADE).score(0.5, GONE, 0.3))
    assert gone(tolerant.score(GONE, GONE, GONE))


def test_a_fallback_asks_the_next_only_where_the_one_before_gave_nothing() -> None:
    graph = Graph(Fallback("n", NAMES))
    rows = [(0.1, 0.2, 0.3), (GONE, 0.2, 0.3), (GONE, GONE, 0.3), (Moody.REFUSES, 0.2, 0.3)]
    scores, parts = graph.of_rows(rows)
    assert scores == [0.1, 0.2, 0.3, 0.2]
    nothing = math.nan
    assert repr(parts[0]) == repr([0.1, nothing, nothing])
    assert repr(parts[2]) == repr([nothing, nothing, 0.3])
    assert gone(graph.score(GONE, GONE, GONE))


def test_a_member_that_two_nodes_ask_is_asked_once() -> None:
    graph = Graph(Average("both", ("a", "b")), Cascade("n", ("a", "both", "c"), ((0.2, 0.8), (0.4, 0.6))))
    assert graph.score(0.5, 1.0, 0.0) == 0.75
    assert [each.asked for each in graph.scorers] == [1, 1, 0]


def test_members_with_deadlines_work_beside_each_other() -> None:
    graph = Graph(Average("n", NAMES), deadline_ms=5000, sleeps_s=0.3)
    began = time.monotonic()
    assert graph.score(Moody.SLEEPS, Moody.SLEEPS, Moody.SLEEPS) == Moody.SLEEPS
    assert graph.of_rows([(Moody.SLEEPS,) * 3])[0] == [Moody.SLEEPS]
    assert time.monotonic() - began < 1.2  # one after the other would take 1.8 s


def test_a_fallback_goes_on_at_the_deadline() -> None:
    graph = Graph(Fallback("n", NAMES), deadline_ms=100, sleeps_s=1.0)
    began = time.monotonic()
    assert graph.score(Moody.SLEEPS, 0.25, 0.5) == 0.25
    assert graph.score(0.1, 0.25, 0.5) == 0.25  # still busy
    assert time.monotonic() - began < 0.8
