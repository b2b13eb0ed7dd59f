"""The journal of runs, steps and results."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import CorruptArtifact, EsteiraError, NotFound, StorageUnwritable
from esteira.base.records import Artifact, Run, RunStatus
from esteira.pipelines.journal import (
    VERSION,
    Journal,
    NewerJournal,
    Result,
    RunInProgress,
    StepRecord,
    StepStatus,
)
from esteira.pipelines.liveness import ProcessMark, this_process

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2013, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
RUN = Run("20130101T120000-aa", "flights", RunStatus.RUNNING, NOON, None, {"b": [1], "a": None}, {"t": "t@1"})
ARTIFACT = Artifact("ab" * 32, "json", 3)
RAN = False  # not cached
STEP = StepRecord(RUN.id, "model", StepStatus.DONE, "k1", ARTIFACT, RAN, NOON, 1.25, "", "ran: first time")
DEAD = ProcessMark(2**22 + 1, "never")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(f"sqlite:{tmp_path}/journal.db")


def test_a_run_and_its_steps_come_back_as_they_were(journal: Journal) -> None:
    assert journal.claim(RUN, "i", this_process(), None) == RUN
    failed = replace(STEP, step="score", status=StepStatus.FAILED, artifact=None, error="no", key="k2")
    journal.commit(
        RUN, [STEP, failed], [Result("k1", ARTIFACT, {"code": {"m.f": "1"}}, ("value.json", b"123"))]
    )
    assert journal.runs() == [RUN]
    assert list(journal.runs()[0].parameters) == ["b", "a"]
    assert journal.steps(RUN.id) == [STEP, failed]
    assert journal.artifact_of("k1") == ARTIFACT
    assert journal.result_of("k1") == Result("k1", ARTIFACT, {"code": {"m.f": "1"}}, ("value.json", b"123"))
    assert journal.artifact_of("k2") is None


def test_the_end_of_a_run_is_recorded_with_its_last_step(journal: Journal) -> None:
    journal.claim(RUN, "i", this_process(), None)
    done = replace(RUN, status=RunStatus.DONE, finished_at=NOON + timedelta(hours=1))
    journal.commit(done, [STEP])
    assert journal.run(RUN.id) == done


def test_a_step_has_one_row_in_a_run_and_keeps_its_place(journal: Journal) -> None:
    journal.claim(RUN, "i", this_process(), None)
    running = replace(STEP, status=StepStatus.RUNNING, artifact=None)
    journal.commit(RUN, [running, replace(STEP, step="other")])
    journal.commit(RUN, [STEP])
    assert [(s.step, s.status) for s in journal.steps(RUN.id)] == [("model", "done"), ("other", "done")]


def test_a_commit_that_fails_leaves_nothing(journal: Journal) -> None:
    journal.claim(RUN, "i", this_process(), None)
    impossible = replace(STEP, step=None)
    with pytest.raises(EsteiraError):
        journal.commit(RUN, [STEP, impossible])
    assert journal.steps(RUN.id) == []


def test_runs_are_listed_oldest_first(journal: Journal) -> None:
    for at, name in enumerate(("b", "a", "c")):
        journal.claim(replace(RUN, id=name, started_at=NOON + timedelta(at)), name, this_process(), None)
    assert [run.id for run in journal.runs()] == ["b", "a", "c"]


def test_the_last_parts_are_those_of_the_newest_time_the_step_was_done(journal: Journal) -> None:
    for name, key in (("r1", "k1"), ("r2", "k2")):
        run = replace(RUN, id=name)
        journal.claim(run, name, this_process(), None)
        journal.commit(run, [replace(STEP, run_id=name, key=key)], [Result(key, ARTIFACT, {"python": key})])
    failed = replace(RUN, id="r3")
    journal.claim(failed, "r3", this_process(), None)
    journal.commit(failed, [replace(STEP, run_id="r3", key="k1", status=StepStatus.FAILED)])
    assert journal.last_parts("flights", "model") == {"python": "k2"}
    assert journal.last_parts("other", "model") is None
    assert journal.last_parts("flights", "score") is None


def test_an_unknown_run_is_not_found(journal: Journal) -> None:
    for ask in (journal.run, journal.is_alive):
        with pytest.raises(NotFound):
            ask("nope")


def test_a_dead_run_of_the_same_identity_is_taken_over(journal: Journal) -> None:
    journal.claim(RUN, "i", DEAD, None)
    assert not journal.is_alive(RUN.id)
    newer = replace(RUN, id="newer")
    assert journal.claim(newer, "i", this_process(), lambda _: False).id == RUN.id
    assert journal.is_alive(RUN.id)
    assert journal.claim(newer, "other", this_process(), lambda _: False).id == "newer"


def test_a_living_run_of_the_same_identity_is_refused(journal: Journal) -> None:
    journal.claim(RUN, "i", this_process(), None)
    with pytest.raises(RunInProgress, match=f"{RUN.id} is in progress in process {this_process().pid}"):
        journal.claim(replace(RUN, id="newer"), "i", this_process(), lambda _: True)
    parent = ProcessMark(1, _birth_of_init())
    journal.claim(replace(RUN, id="foreign"), "j", parent, None)
    with pytest.raises(RunInProgress):
        journal.claim(replace(RUN, id="newer"), "j", this_process(), lambda _: False)
    assert [run.id for run in journal.runs()] == [RUN.id, "foreign"]


def _birth_of_init() -> str:
    from esteira.pipelines.liveness import birth_of

    return birth_of(1)


def test_a_run_that_this_process_gave_up_without_a_word_is_taken_over(journal: Journal) -> None:
    journal.claim(RUN, "i", this_process(), None)
    assert journal.claim(replace(RUN, id="newer"), "i", this_process(), lambda _: False).id == RUN.id


def test_a_finished_run_is_not_taken_over(journal: Journal) -> None:
    journal.claim(RUN, "i", DEAD, None)
    journal.commit(replace(RUN, status=RunStatus.FAILED, error="no"), [])
    assert journal.claim(replace(RUN, id="newer"), "i", this_process(), lambda _: False).id == "newer"


def test_a_journal_of_a_later_esteira_is_refused(tmp_path: Path) -> None:
    Journal(f"sqlite:{tmp_path}/journal.db")
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(NewerJournal, match=f"format {VERSION + 1}.*pip install -U"):
        Journal(f"sqlite:{tmp_path}/journal.db")


def test_a_file_that_is_no_journal_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"not a database" * 100)
    with pytest.raises(CorruptArtifact):
        Journal(f"sqlite:{tmp_path}/journal.db")


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageUnwritable):
        Journal(f"sqlite:{tmp_path}/file/journal.db")
