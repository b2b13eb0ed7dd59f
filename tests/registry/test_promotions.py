"""The promotion journal: what is promised, also under a kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.contracts.backend import BackendContract

from esteira.base.clock import SimulatedClock
from esteira.base.databases import open_database
from esteira.base.errors import EsteiraError, NotFound
from esteira.base.records import AuditEvent
from esteira.registry.backends import open_backend
from esteira.registry.promotions import Promotion, PromotionIntents, PromotionJournal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.base.records import ModelVersion
    from esteira.registry.backends.port import Backend

START = datetime(2013, 4, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


class Trail:
    """An audit trail that keeps its records in a list."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def record(
        self, action: str, resource: str, *, reason: str = "", facts: Mapping[str, object] | None = None
    ) -> AuditEvent:
        event = AuditEvent(len(self.events), START, "test", action, resource, reason, facts or {}, "", "")
        self.events.append(event)
        return event


class Failing:
    """A backend of which one call fails: before it takes effect, or after."""

    def __init__(self, backend: Backend, *, after: bool) -> None:
        self._backend, self._after = backend, after

    def version(self, name: str, number: int) -> ModelVersion:
        return self._backend.version(name, number)

    def alias(self, name: str, alias: str) -> ModelVersion | None:
        return self._backend.alias(name, alias)

    def set_alias(self, name: str, alias: str, number: int) -> None:
        if self._after:
            self._backend.set_alias(name, alias, number)
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Path:
    """A home in which model `late` has three versions."""
    home = tmp_path_factory.mktemp("registered")
    shutil.copy(database, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        backend = open_backend("mlflow:", home=home)
        for mark in ("a", "b", "c"):
            BackendContract().register(backend, "late", home / mark, mark, mark)
    return home


@pytest.fixture
def home(registered: Path, tmp_path: Path) -> Path:
    shutil.copytree(registered, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def backend(home: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return open_backend("mlflow:", home=home)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(start=START)


@pytest.fixture
def trail() -> Trail:
    return Trail()


@pytest.fixture
def journal(state_url: str, backend: Backend, trail: Trail, clock: SimulatedClock) -> PromotionJournal:
    return PromotionJournal(state_url, backend, trail, clock)


def champion(backend: Backend) -> int | None:
    found = backend.alias("late", "champion")
    return None if found is None else found.version


def test_a_promotion_points_the_alias_and_is_remembered(
    journal: PromotionJournal, backend: Backend, clock: SimulatedClock
) -> None:
    first = journal.promote("late", 1, "champion", "first model")
    clock.advance(timedelta(days=7))
    second = journal.promote("late", 3, "champion", "the gates passed")
    assert champion(backend) == 3
    assert first == Promotion("late", 1, "champion", START, "first model", None)
    assert second == Promotion("late", 3, "champion", START + timedelta(days=7), "the gates passed", 1)
    assert journal.history("late") == [first, second]
    assert journal.history("other") == []


def test_a_way_back_is_one_more_promotion(journal: PromotionJournal, backend: Backend) -> None:
    for number in (1, 2, 1):
        journal.promote("late", number, "champion", "")
    assert champion(backend) == 1
    assert [(p.previous_version, p.version) for p in journal.history("late")] == [(None, 1), (1, 2), (2, 1)]


def test_history_survives_what_mlflow_forgets(
    journal: PromotionJournal, backend: Backend, home: Path, state_url: str
) -> None:
    journal.promote("late", 1, "champion", "")
    journal.promote("late", 2, "champion", "")
    shutil.rmtree(home / "mlartifacts")
    (home / "mlflow.db").unlink()
    again = PromotionJournal(state_url, backend, Trail(), SimulatedClock(start=START))
    assert [promotion.version for promotion in again.history("late")] == [1, 2]


def test_the_audit_record_comes_first_and_says_what_was_before(
    state_url: str, backend: Backend, trail: Trail, clock: SimulatedClock
) -> None:
    PromotionJournal(state_url, backend, trail, clock).promote("late", 1, "champion", "")
    with pytest.raises(KeyboardInterrupt):
        PromotionJournal(state_url, Failing(backend, after=False), trail, clock).promote(
            "late", 2, "champion", "better"
        )
    event = trail.events[-1]
    assert (event.action, event.resource, event.reason) == ("model.promote", "late@2", "better")
    assert event.facts == {"alias": "champion", "previous_version": 1}


def test_an_unknown_version_is_refused_and_leaves_no_trace(
    journal: PromotionJournal, trail: Trail, backend: Backend
) -> None:
    with pytest.raises(NotFound, match="version '9 of model late' does not exist"):
        journal.promote("late", 9, "champion", "")
    assert trail.events == []
    assert journal.history("late") == []
    assert champion(backend) is None


@pytest.mark.parametrize("after", [False, True])
def test_an_interrupted_promotion_is_completed_once(
    *,
    after: bool,
    state_url: str,
    backend: Backend,
    trail: Trail,
    clock: SimulatedClock,
) -> None:
    cut = PromotionJournal(state_url, Failing(backend, after=after), trail, clock)
    with pytest.raises(KeyboardInterrupt):
        cut.promote("late", 2, "champion", "better")
    journal = PromotionJournal(state_url, backend, trail, clock)
    assert journal.history("late") == []
    completed = journal.resume()
    assert completed == journal.history("late")
    assert completed == [Promotion("late", 2, "champion", START, "better", None)]
    assert champion(backend) == 2
    assert journal.resume() == []
    assert len(trail.events) == 1


def test_the_next_promotion_completes_the_interrupted_one_before_its_own(
    state_url: str, backend: Backend, trail: Trail, clock: SimulatedClock
) -> None:
    cut = PromotionJournal(state_url, Failing(backend, after=False), trail, clock)
    with pytest.raises(KeyboardInterrupt):
        cut.promote("late", 2, "champion", "cut off")
    journal = PromotionJournal(state_url, backend, trail, clock)
    journal.promote("late", 3, "champion", "next")
    assert [(p.previous_version, p.version) for p in journal.history("late")] == [(None, 2), (2, 3)]
    assert champion(backend) == 3


def test_a_promotion_whose_version_was_deleted_meanwhile_does_not_block_the_next(
    state_url: str, backend: Backend, trail: Trail, clock: SimulatedClock
) -> None:
    import mlflow

    cut = PromotionJournal(state_url, Failing(backend, after=False), trail, clock)
    with pytest.raises(KeyboardInterrupt):
        cut.promote("late", 2, "champion", "")
    mlflow.MlflowClient(backend.uri, backend.uri).delete_model_version("late", "2")
    journal = PromotionJournal(state_url, backend, trail, clock)
    assert journal.resume() == []
    assert journal.promote("late", 3, "champion", "") == journal.history("late")[-1]
    assert len(journal.history("late")) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE promotions SET reason = 'another'",
        "DELETE FROM promotions",
        "UPDATE promotion_ends SET outcome = 'void'",
        "DELETE FROM promotion_ends",
    ],
)
def test_what_was_written_cannot_be_changed(
    journal: PromotionJournal, state_url: str, statement: str
) -> None:
    journal.promote("late", 1, "champion", "")
    database = open_database(state_url)
    with pytest.raises(EsteiraError, match="is never"), database.transaction() as connection:
        connection.execute(statement)
    assert len(journal.history("late")) == 1


def test_promotions_at_once_take_turns(journal: PromotionJournal, backend: Backend) -> None:
    threads = [
        threading.Thread(target=journal.promote, args=("late", number, "champion", str(number)))
        for number in (1, 2, 3) * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = journal.history("late")
    assert len(history) == 6
    assert [p.previous_version for p in history] == [None, *(p.version for p in history[:-1])]
    assert champion(backend) == history[-1].version


def intended(version: int, reason: str = "through a gateway", before: int | None = 1) -> Promotion:
    return Promotion("late", version, "champion", START, reason, before)


def test_what_is_intended_where_no_registry_is_asked_is_completed_by_the_next_journal(
    journal: PromotionJournal, backend: Backend, state_url: str, trail: Trail
) -> None:
    first = journal.promote("late", 1, "champion", "")
    PromotionIntents(state_url).write(intended(2))
    assert (journal.history("late"), champion(backend)) == ([first], 1)
    assert (journal.intended("late"), journal.intended("other")) == ([intended(2)], [])
    assert journal.resume() == [intended(2)]
    assert journal.intended("late") == []
    assert (journal.history("late"), champion(backend)) == ([first, intended(2)], 2)
    assert len(trail.events) == 1  # who intends it has recorded it


def test_intentions_are_completed_in_their_order_and_before_a_later_promotion(
    journal: PromotionJournal, backend: Backend, state_url: str
) -> None:
    intents = PromotionIntents(state_url)
    for version in (1, 9, 2):  # of which one is not registered
        intents.write(intended(version))
    journal.promote("late", 3, "champion", "")
    assert [each.version for each in journal.history("late")] == [1, 2, 3]
    assert champion(backend) == 3


def test_an_intention_waits_for_a_promotion_that_is_being_made(
    journal: PromotionJournal, state_url: str, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = threading.Thread(target=PromotionIntents(state_url).write, args=(intended(2),))
    original = backend.version

    def version(name: str, number: int) -> ModelVersion:
        monkeypatch.undo()
        writing.start()
        writing.join(0.1)
        assert writing.is_alive()
        return original(name, number)

    monkeypatch.setattr(backend, "version", version)
    journal.promote("late", 1, "champion", "")
    writing.join()
    assert [each.version for each in journal.resume()] == [2]
    assert champion(backend) == 2


_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.registry.test_promotions import *
home, moment, state_url = Path(sys.argv[1]), *sys.argv[2:]
backend = open_backend("mlflow:", home=home)
class Killed:
    version, alias = backend.version, backend.alias
    def set_alias(self, *arguments):
        if moment == "before": os.kill(os.getpid(), signal.SIGKILL)
        backend.set_alias(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)
PromotionJournal(state_url, Killed(), Trail(), SimulatedClock(start=START)).promote("late", 2, "champion", "")
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_leaves_a_promotion_that_the_next_command_completes(
    moment: str, home: Path, state_url: str, backend: Backend, journal: PromotionJournal
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(home), moment, state_url],
        env=environment,
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert champion(backend) == (2 if moment == "after" else None)
    assert [promotion.version for promotion in journal.resume()] == [2]
    assert champion(backend) == 2
