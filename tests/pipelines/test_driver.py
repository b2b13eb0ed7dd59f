"""The driver: any order that a graph allows, each step once, one end."""

from __future__ import annotations

import tempfile
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pipelines.conftest import Place

from esteira.pipelines import runners
from esteira.pipelines.execution import Done, StepFailed, Task, execute
from esteira.pipelines.step import Step

if TYPE_CHECKING:
    from esteira.pipelines.artifacts import ArtifactStore


class LastFirst:
    """A runner of three slots that finishes what it got last first, as a pool may."""

    slots = 3

    def __init__(self, url: str, *, artifacts: ArtifactStore) -> None:
        self.url, self._artifacts, self._waiting = url, artifacts, deque[Task]()

    def submit(self, task: Task) -> None:
        assert len(self._waiting) < self.slots
        self._waiting.append(task)

    def wait(self) -> Done:
        return execute(self._waiting.pop(), self._artifacts)

    def close(self) -> None:
        self._waiting.clear()


@pytest.fixture(autouse=True)
def last_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runners._RUNNERS, "last-first", f"{__name__}:LastFirst")


def graph(edges: dict[int, set[int]], ran: list[int], broken: int | None = None) -> list[Step[..., Any]]:
    def numbered(at: int, needs: set[int]) -> Step[..., Any]:
        scope: dict[str, Any] = {"ran": ran, "at": at, "broken": broken, "__name__": "drawn"}
        names = [f"s{need}" for need in sorted(needs)]
        body = f"ran.append({at}); return {at} + sum([{', '.join(names)}]) + 1 // {int(at != broken)}"
        exec(f"def s{at}({', '.join(names)}): {body}", scope)
        return Step(f"s{at}", scope[f"s{at}"])

    return [numbered(at, needs) for at, needs in edges.items()]


acyclic = st.integers(1, 7).flatmap(
    lambda size: st.tuples(
        *(st.sets(st.integers(0, max(at - 1, 0)), max_size=min(at, 3)) for at in range(size))
    )
)


@settings(max_examples=25, deadline=None)
@given(acyclic, st.sampled_from(["inline", "last-first"]))
def test_every_step_runs_once_after_what_it_needs(drawn: tuple[set[int], ...], runner: str) -> None:
    edges, ran = dict(enumerate(drawn)), list[int]()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setitem(runners._RUNNERS, "last-first", f"{__name__}:LastFirst")
        place = Place(Path(folder))
        outcome = place.run(graph(edges, ran), runner=runner)
        assert sorted(ran) == list(edges)
        assert all(ran.index(need) < ran.index(at) for at in edges for need in edges[at])
        expected: dict[int, int] = {}
        for at, needs in edges.items():
            expected[at] = at + 1 + sum(expected[need] for need in needs)
        assert {at: outcome.value(f"s{at}") for at in edges} == expected
        assert {each.status for each in place.journal.steps(outcome.run.id)} == {"done"}


def test_what_flew_beside_a_failing_step_is_marked_failed_too(place: Place) -> None:
    ran: list[int] = []
    steps = graph({0: set(), 1: set(), 2: set(), 3: {0}}, ran, broken=2)
    with pytest.raises(StepFailed, match="'s2' failed: ZeroDivisionError"):
        place.run(steps, runner="last-first")
    (run,) = place.journal.runs()
    assert run.status == "failed"
    assert {each.step: each.status for each in place.journal.steps(run.id)} == dict.fromkeys(
        ("s0", "s1", "s2"), "failed"
    )


def test_a_result_and_the_start_of_what_follows_are_committed_together(place: Place) -> None:
    states: list[dict[str, str]] = []

    def look(event: Any) -> None:
        states.append({each.step: each.status for each in place.journal.steps(event.record.run_id)})

    place.run(graph({0: set(), 1: {0}}, []), on_event=look)
    assert states[0] == {"s0": "running"}
    assert states[1] == states[2] == {"s0": "done", "s1": "running"}
    assert states[3] == {"s0": "done", "s1": "done"}
