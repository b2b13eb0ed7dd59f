"""Everything that is known before a run begins."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import UnknownName
from esteira.base.records import Artifact
from esteira.pipelines.annotations import UnresolvedAnnotation
from esteira.pipelines.graph import Graph, MissingParameter
from esteira.pipelines.inputs import Pinned
from esteira.pipelines.parameters import WrongParameter
from esteira.pipelines.preparation import prepare
from esteira.pipelines.reach import ClosedOver
from esteira.pipelines.step import step

if TYPE_CHECKING:
    from decimal import Decimal


@step
def rows(flights: object, until: datetime, days: int = 90) -> list[int]:
    return []


@step
def model(rows: list[int], seed: int = 7) -> int:
    return 1


GRAPH = Graph([rows, model], {"flights": Pinned("flights@3", list), "weather": Pinned("weather@1", list)})
NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)


def test_parameters_are_those_of_the_steps_in_the_plan_with_their_defaults() -> None:
    prepared = prepare(GRAPH, None, {"until": "2013-01-01T12:00:00Z"})
    assert prepared.parameters == {"rows": {"until": NOON, "days": 90}, "model": {"seed": 7}}
    assert prepared.plain == {"until": "2013-01-01T12:00:00Z", "days": 90, "seed": 7}
    assert prepare(GRAPH, ["rows"], {"until": NOON, "seed": 9}).plain == {
        "until": "2013-01-01T12:00:00Z",
        "days": 90,
    }


def test_every_input_is_pinned_also_one_that_no_step_takes() -> None:
    prepared = prepare(GRAPH, None, {"until": NOON})
    assert prepared.inputs == {"flights": "flights@3", "weather": "weather@1"}


def test_a_key_holds_only_what_the_step_takes() -> None:
    prepared = prepare(GRAPH, None, {"until": NOON})
    assert prepared.key("rows", {}).inputs == {"flights": "flights@3"}
    assert prepared.key("model", {"rows": Artifact("ab", "json", 2)}).inputs == {"rows": "json ab"}
    assert prepared.key("model", {"rows": Artifact("ab", "json", 2)}).parameters == {"seed": 7}


def test_equal_calls_have_one_identity_and_others_another() -> None:
    def identity(targets: list[str] | None = None, *, use_cache: bool = True, **given: object) -> str:
        return prepare(GRAPH, targets, {"until": NOON, **given}).identity("flights", use_cache=use_cache)

    same = identity()
    assert identity(until="2013-01-01T12:00:00Z") == same
    assert identity(seed=7) == same
    assert len({same, identity(seed=8), identity(["rows"]), identity(use_cache=False)}) == 4
    assert prepare(GRAPH, None, {"until": NOON}).identity("other", use_cache=True) != same


def test_what_cannot_end_is_refused_before_it_begins() -> None:
    lock = threading.Lock()

    @step
    def price() -> Decimal: ...

    @step
    def locked() -> bool:
        return lock.locked()

    with pytest.raises(MissingParameter):
        prepare(GRAPH, None, {})
    with pytest.raises(UnknownName):
        prepare(GRAPH, None, {"until": NOON, "sed": 7})
    with pytest.raises(WrongParameter):
        prepare(GRAPH, None, {"until": NOON, "seed": "seven"})
    with pytest.raises(UnresolvedAnnotation):
        prepare(Graph([price]), None, {})
    with pytest.raises(ClosedOver):
        prepare(Graph([locked]), None, {})
