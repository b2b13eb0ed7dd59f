"""Runs: cached, durable, resumable."""

from __future__ import annotations

import re
import shutil
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.pipelines.codecs.test_storable import Note
from tests.pipelines.conftest import START, Chain, Place

from esteira.base.errors import CorruptArtifact, UnknownScheme
from esteira.base.records import RunStatus
from esteira.pipelines.artifacts import ArtifactStore
from esteira.pipelines.execution import StepFailed, WrongOutput
from esteira.pipelines.graph import UnknownStep
from esteira.pipelines.inputs import Pinned
from esteira.pipelines.journal import Journal
from esteira.pipelines.step import step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Season(Enum):
    WINTER = "winter"


def test_a_run_brings_every_step_to_a_stored_value(place: Place, chain: Chain) -> None:
    outcome = place.run(chain[0])
    assert outcome.value("note") == Note("late 2 15")
    assert outcome.value("late") == {"rows": 2, "above": 15}
    assert outcome.value("flights") == pa.table({"month": [1, 2]})
    assert outcome.artifact("flights").codec == "table"
    assert re.fullmatch(r"20131105T101500-[0-9a-f]{8}", outcome.run.id)
    assert outcome.run.status is RunStatus.DONE
    assert (outcome.run.started_at, outcome.run.finished_at) == (START, START)
    assert outcome.run.parameters == {"months": [1, 2], "above": 15, "text": "late"}
    assert place.journal.run(outcome.run.id) == outcome.run
    assert place.journal.steps(outcome.run.id) == [
        outcome.steps[name] for name in ("flights", "late", "note")
    ]
    assert place.reasons(outcome) == dict.fromkeys(("flights", "late", "note"), "ran: first time")


def test_a_second_run_executes_nothing(place: Place, chain: Chain) -> None:
    steps, ran = chain
    first = place.run(steps)
    second = place.run(steps)
    assert ran == ["flights", "late", "note"]
    assert place.reasons(second) == dict.fromkeys(ran, "hit")
    assert all(record.cached for record in second.steps.values())
    assert [second.artifact(each) for each in ran] == [first.artifact(each) for each in ran]
    assert second.run.id != first.run.id


def test_a_parameter_runs_only_the_steps_that_take_it_and_what_follows(place: Place, chain: Chain) -> None:
    steps, ran = chain
    place.run(steps)
    ran.clear()
    changed = place.run(steps, parameters={"above": 18})
    assert place.reasons(changed) == {
        "flights": "hit",
        "late": "ran: parameter above changed",
        "note": "ran: input late changed",
    }
    assert ran == ["late", "note"]
    assert changed.value("note") == Note("late 2 18")


def test_a_step_that_makes_the_same_bytes_again_stops_what_follows(place: Place, chain: Chain) -> None:
    steps, ran = chain
    place.run(steps, parameters={"above": 20})
    ran.clear()
    again = place.run(steps, parameters={"above": 21})  # min(21, 20) is the same
    assert ran == ["late"]
    assert place.reasons(again)["note"] == "hit"


def test_only_what_the_targets_need_is_run(place: Place, chain: Chain) -> None:
    steps, ran = chain
    outcome = place.run(steps, targets=["late"])
    assert ran == ["flights", "late"]
    assert set(outcome.steps) == {"flights", "late"}
    with pytest.raises(UnknownStep):
        outcome.value("note")
    with pytest.raises(UnknownStep, match="did you mean 'late'"):
        place.run(steps, targets=["lat"])


def test_an_empty_graph_is_done(place: Place) -> None:
    assert place.run([]).run.status is RunStatus.DONE


def test_without_the_cache_everything_is_executed_again(place: Place, chain: Chain) -> None:
    steps, ran = chain
    first = place.run(steps)
    again = place.run(steps, use_cache=False)
    assert ran == ["flights", "late", "note"] * 2
    assert again.artifact("note") == first.artifact("note")
    assert set(place.reasons(again).values()) == {"ran: the cache was not to be used"}


def test_a_run_is_repeated_elsewhere_from_what_its_journal_holds(tmp_path: Path) -> None:
    @step
    def rows(
        until: datetime,
        flights: list[int],
        window: timedelta = timedelta(days=1),
        season: Season = Season.WINTER,
        pair: tuple[int, int] = (1, 2),
    ) -> str:
        return f"{until:%H} {window.days} {season.value} {(*pair, 3)} {flights}"

    inputs = {"flights": Pinned("flights@1", lambda: [1])}
    first = Place(tmp_path / "one").run([rows], inputs, parameters={"until": START, "pair": [3, 4]})
    assert first.value("rows") == "10 1 winter (3, 4, 3) [1]"
    kept = Place(tmp_path / "one").journal.run(first.run.id)
    again = Place(tmp_path / "other").run([rows], inputs, parameters=kept.parameters, use_cache=False)
    assert again.artifact("rows") == first.artifact("rows")
    assert again.run.parameters == kept.parameters
    assert kept.inputs == {"flights": "flights@1"}


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


@pytest.mark.parametrize(
    ("name", "harm", "said"),
    [
        ("flights", damage, "ran: its stored result is corrupt"),
        ("late", damage, "ran: its stored result is corrupt"),
        ("note", damage, "ran: its stored result is corrupt"),
        ("many", lambda path: shutil.rmtree(path.parent), "ran: its stored result is gone"),
        ("late", lambda path: shutil.rmtree(path.parent), "hit"),  # small: the journal has its bytes
    ],
)
def test_a_damaged_artifact_is_made_again_and_never_served(
    place: Place, chain: Chain, name: str, harm: Callable[[Path], None], said: str
) -> None:
    steps, ran = chain

    @step
    def many() -> list[int]:
        ran.append("many")
        return list(range(5000))

    steps = [*steps, many]
    first = place.run(steps)
    ran.clear()
    folder = place.artifacts.folder(first.artifact(name).digest)
    harm(next(path for path in folder.iterdir() if path.is_file()))
    if said != "hit":
        with pytest.raises(CorruptArtifact):
            first.value(name)
    again = place.run(steps)
    assert place.reasons(again) == dict.fromkeys(first.steps, "hit") | {name: said}
    assert ran == ([name] if said != "hit" else [])
    assert again.artifact(name) == first.artifact(name)
    assert place.artifacts.check() == []
    assert again.value(name) == first.value(name)


def test_a_fresh_run_and_a_cached_one_hand_over_the_same_values(place: Place) -> None:
    seen: list[Any] = []

    @step
    def made():  # noqa: ANN202 - no annotation, so a tuple is a list to every reader
        return (1, {"b": 1, "a": (2,)})

    @step
    def typed() -> dict[str, float]:
        return {"b": 1, "a": 2}

    @step
    def reader(made: Any, typed: Any, again: int = 0) -> int:
        seen.append((made, list(typed.items())))
        made.append("a reader may do as it likes")
        return again

    @step
    def second(made: Any, reader: int) -> int:
        return len(made)

    place.run([made, typed, reader])
    place.run([made, typed, reader], parameters={"again": 1})
    assert seen[0] == seen[1] == ([1, {"b": 1, "a": [2]}, seen[0][0][-1]], [("a", 2.0), ("b", 1.0)])
    assert {type(value) for _, value in seen[0][1]} == {float}


def test_a_value_that_nobody_needs_is_not_read_from_the_store(
    place: Place, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, _ = chain
    place.run(steps)
    read: list[str] = []
    get = ArtifactStore.get

    def noted(self: ArtifactStore, artifact: Any, declared: Any = object) -> object:
        read.append(artifact.codec)
        return get(self, artifact, declared)

    monkeypatch.setattr(ArtifactStore, "get", noted)
    place.run(steps)
    assert read == []
    place.run(steps, parameters={"text": "very late"})
    assert read == ["json"]
    read.clear()
    place.run(steps, parameters={"months": [1, 2, 3]})
    assert read == []  # everything that ran was made in this process


def test_a_step_that_raises_ends_the_run_and_what_came_before_is_kept(place: Place, chain: Chain) -> None:
    steps, ran = chain

    @step
    def broken(late: dict[str, int], *, fails: bool = True) -> int:
        if fails:
            raise ZeroDivisionError("no flights")
        return 1

    with pytest.raises(StepFailed, match="step 'broken' failed: ZeroDivisionError: no flights") as caught:
        place.run([*steps, broken])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    (run,) = place.journal.runs()
    assert run.status is RunStatus.FAILED
    assert run.error == str(caught.value)
    assert run.finished_at == START
    records = {record.step: record for record in place.journal.steps(run.id)}
    assert records["broken"].status == "failed"
    assert records["broken"].error == str(caught.value)
    assert records["broken"].artifact is None
    ran.clear()
    mended = place.run([*steps, broken], parameters={"fails": False})
    assert "flights" not in ran
    assert mended.run.id != run.id


def test_a_wrong_output_ends_the_run(place: Place) -> None:
    @step
    def model() -> pa.Table:
        return {"a": [1]}

    with pytest.raises(WrongOutput, match="step 'model' failed: it must return Table, but returned dict"):
        place.run([model])
    assert place.journal.runs()[0].status is RunStatus.FAILED
    assert place.artifacts.count() == 0


def test_an_interrupt_is_recorded_and_passed_on(place: Place) -> None:
    @step
    def slow() -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.run([slow])
    (run,) = place.journal.runs()
    assert (run.status, run.error) == (RunStatus.FAILED, "KeyboardInterrupt")
    assert place.journal.steps(run.id)[0].status == "failed"


def test_events_follow_what_is_committed(place: Place, chain: Chain) -> None:
    seen: list[tuple[str, str]] = []

    def follow(event: Any) -> None:
        seen.append((event.step, event.kind))
        (record,) = [each for each in place.journal.steps(event.record.run_id) if each.step == event.step]
        assert record == event.record

    place.run(chain[0], on_event=follow)
    names = [(name, kind) for name in ("flights", "late", "note") for kind in ("running", "ran")]
    assert sorted(seen) == sorted(names)
    assert [name for name, kind in seen if kind == "ran"] == ["flights", "late", "note"]
    seen.clear()
    place.run(chain[0], on_event=follow)
    assert seen == [("flights", "hit"), ("late", "hit"), ("note", "hit")]


def test_one_transaction_per_committed_step(
    place: Place, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0
    commit = Journal.commit

    def counted(self: Journal, *given: Any) -> None:
        nonlocal count
        count += 1
        commit(self, *given)

    monkeypatch.setattr(Journal, "commit", counted)
    place.run(chain[0])
    assert count == 3 + 1  # the first says what starts
    place.run(chain[0])
    assert count == 3 + 1 + 1


def test_an_unknown_runner_is_refused_before_anything_is_recorded(place: Place, chain: Chain) -> None:
    with pytest.raises(UnknownScheme):
        place.run(chain[0], runner="ray")
    assert place.journal.runs() == []
