"""Runs once more: taken over after a kill (the real one is in test_faults.py), or after an edit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.pipelines.codecs.test_storable import Note

from esteira.base.records import RunStatus
from esteira.pipelines.artifacts import ArtifactStore
from esteira.pipelines.journal import RunInProgress
from esteira.pipelines.step import Step, step

if TYPE_CHECKING:
    from tests.pipelines.conftest import Chain, Files, Place


def interrupted(place: Place, steps: list[Step[..., Any]], *, use_cache: bool = True) -> str:
    """Leave what a process killed in its last step leaves behind."""

    def stop(event: Any) -> None:
        if (event.step, event.kind) == ("note", "running"):
            raise SystemExit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("esteira.pipelines.driver.Driver._give_up", lambda self, error: None)
        with pytest.raises(SystemExit):
            place.run(steps, on_event=stop, use_cache=use_cache)
    (run,) = place.journal.runs()
    assert run.status is RunStatus.RUNNING
    return run.id


@pytest.mark.parametrize("use_cache", [True, False])
def test_a_killed_run_is_taken_over_and_repeats_no_committed_step(
    place: Place, chain: Chain, *, use_cache: bool
) -> None:
    steps, ran = chain
    killed = interrupted(place, steps, use_cache=use_cache)
    before = place.journal.steps(killed)[:2]
    ran.clear()
    outcome = place.run(steps, use_cache=use_cache)
    assert ran == ["note"]
    assert outcome.run.id == killed
    assert place.journal.steps(killed)[:2] == before
    assert outcome.value("note") == Note("late 2 15")
    assert len(place.journal.runs()) == 1


def test_another_call_or_one_that_shall_not_resume_is_a_new_run(place: Place, chain: Chain) -> None:
    steps, ran = chain
    killed = interrupted(place, steps)
    ran.clear()
    assert place.run(steps, parameters={"text": "x"}).run.id != killed
    assert place.run(steps, resume=False).run.id != killed
    assert ran == ["note", "note"]
    assert place.journal.run(killed).status is RunStatus.RUNNING


def test_the_same_run_in_a_living_process_is_refused(place: Place, chain: Chain) -> None:
    steps, _ = chain
    refused: list[Exception] = []

    def again(event: Any) -> None:
        if event.step == "late" and not refused:
            with pytest.raises(RunInProgress) as caught:
                place.run(steps)
            refused.append(caught.value)

    outcome = place.run(steps, on_event=again)
    assert [error.run_id for error in refused] == [outcome.run.id]
    assert outcome.run.status is RunStatus.DONE


def test_a_run_that_could_not_even_be_marked_failed_is_taken_over_by_the_same_process(
    place: Place, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, _ = chain
    with monkeypatch.context() as patch:
        patch.setattr("esteira.pipelines.driver.Driver._give_up", lambda self, error: None)
        patch.setattr(ArtifactStore, "keep", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            place.run(steps)
    (left,) = place.journal.runs()
    assert left.status is RunStatus.RUNNING
    assert place.run(steps).run.id == left.id


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


# Edits of project files, as a user makes them


def test_an_edited_helper_runs_the_step_again_and_a_comment_does_not(place: Place, files: Files) -> None:
    text = {
        "steps": "from esteira import step\nfrom @helpers@ import clean\n"
        "@step\ndef model(seed: int = 7) -> int:\n    return clean(seed)\n",
        "helpers": "def clean(x):\n    return x + 1\n",
    }
    files.write(**text)
    assert place.run([files.load("steps").model]).value("model") == 8
    files.write(**text | {"helpers": "def clean(x):  # why\n    return (x + 1)\n"})
    assert place.reasons(place.run([files.load("steps").model])) == {"model": "hit"}
    files.write(**text | {"helpers": "def clean(x):\n    return x + 2\n"})
    edited = place.run([files.load("steps").model])
    assert edited.value("model") == 9
    assert place.reasons(edited) == {"model": f"ran: code changed: {files.name('helpers')}.clean"}
    files.write(**text)
    assert place.reasons(place.run([files.load("steps").model])) == {"model": "hit"}


def test_an_edited_default_is_a_changed_parameter_unless_it_is_given(place: Place, files: Files) -> None:
    text = "from esteira import step\n@step\ndef model(seed: int = 7) -> int:\n    return seed\n"
    files.write(steps=text)
    place.run([files.load("steps").model])
    files.write(steps=text.replace("7", "8"))
    model = files.load("steps").model
    assert place.reasons(place.run([model], parameters={"seed": 7})) == {"model": "hit"}
    assert place.reasons(place.run([model])) == {"model": "ran: parameter seed changed"}


def test_another_library_version_runs_the_step_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    @step
    def model() -> int:
        return 1

    place.run([model])
    monkeypatch.setattr("esteira.pipelines.keys.version_of", lambda name: {name: "0.1"})
    reason = place.reasons(place.run([model]))["model"]
    assert re.fullmatch(r"ran: pyarrow changed from \d+\.\d+\.\d+ to 0\.1", reason)


def test_two_hundred_hits_start_nothing(place: Place) -> None:
    ran: list[int] = []

    def numbered(at: int) -> Step[..., Any]:
        def made() -> int:
            ran.append(at)
            return at

        return Step(f"s{at}", made)

    steps = [numbered(at) for at in range(200)]
    place.run(steps)
    assert place.run(steps).run.status is RunStatus.DONE
    assert len(ran) == 200
