"""Values are held only while someone waits for them."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pyarrow as pa

from esteira.pipelines.graph import Graph
from esteira.pipelines.inputs import Pinned
from esteira.pipelines.step import step
from esteira.pipelines.values import Values

if TYPE_CHECKING:
    from tests.pipelines.conftest import Place


@step
def rows(source: list[int]) -> pa.Table:
    return pa.table({"a": source})


@step
def first(rows: pa.Table) -> int:
    return 1


@step
def second(rows: pa.Table, source: list[int]) -> int:
    return 2


def test_a_value_made_in_process_is_handed_over_by_reference_until_its_last_reader(place: Place) -> None:
    graph = Graph([rows, first, second], {"source": Pinned("s@1", lambda: [1])})
    values = Values(graph, graph.plan(), place.artifacts)
    made = pa.table({"a": [1]})
    values.settle("rows")
    values.offer("rows", made)
    assert values.arguments("first", {})["rows"] is made
    values.settle("first")
    assert values.arguments("second", {})["rows"] is made
    values.settle("second")
    gone = weakref.ref(made)
    del made
    gc.collect()
    assert gone() is None


def test_a_value_that_is_not_at_hand_is_loaded_once(place: Place) -> None:
    stored = {"rows": place.artifacts.put(pa.table({"a": [1]}))}
    loaded = []
    graph = Graph([rows, first, second], {"source": Pinned("s@1", lambda: loaded.append(1) or [1])})
    values = Values(graph, graph.plan(), place.artifacts)
    one, other = values.arguments("first", stored), values.arguments("second", stored)
    assert one["rows"] is other["rows"]
    values.arguments("rows", stored)
    assert loaded == [1]


def test_a_value_that_nobody_waits_for_is_not_held(place: Place) -> None:
    graph = Graph([rows], {"source": Pinned("s@1", lambda: [1])})
    values = Values(graph, graph.plan(), place.artifacts)
    made = pa.table({"a": [1]})
    gone = weakref.ref(made)
    values.offer("rows", made)
    del made
    gc.collect()
    assert gone() is None
