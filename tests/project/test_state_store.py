"""What the state store must do: a database of an earlier release goes on, and a server holds all of it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.base.databases.postgres_server import PostgresServer
from tests.project.pushing import send
from tests.project.worlds import HOUR, LIVE, Days, copy_of, esteira, refused, told

from esteira.base.clock import to_micros
from esteira.base.errors import EsteiraError
from esteira.base.records import AlertState
from esteira.base.sqlite import Database
from esteira.project.ingesting import ingest_new
from esteira.project.observations import Observation, Observations
from esteira.project.release import judge_and_register, train
from esteira.project.ring import Ring
from esteira.project.station import open_station
from esteira.project.story import Story
from esteira.project.verifying import verify
from esteira.retraining.attempts import AttemptJournal, AttemptState, LoopEvent, Outcome
from esteira.serving.access.keys import KeyStore, new_key
from esteira.serving.pushes import PushTable, PushTables

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.project.station import Station

NOW = to_micros(LIVE)
DAY = timedelta(days=1)
SEEN = Observation("drift", "load", LIVE - DAY, LIVE, 1, 0.7, None, None, 0.2, 200, 0, "bad")

# The tables as they were made before the state could be on a server, with a row in each.
EARLIER = f"""
CREATE TABLE story (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, kind TEXT NOT NULL, facts TEXT NOT NULL
);
INSERT INTO story (seq, at, kind, facts) VALUES (41, {NOW}, 'retraining', '{{"reason": "drift"}}');
CREATE TABLE observations (
    kind TEXT NOT NULL, subject TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL,
    version INTEGER NOT NULL, value REAL, low REAL, high REAL, threshold REAL,
    rows INTEGER NOT NULL, labelled INTEGER NOT NULL, verdict TEXT NOT NULL,
    PRIMARY KEY (kind, subject, ended)
) WITHOUT ROWID;
INSERT INTO observations
VALUES ('drift', 'load', {NOW - 1_000_000}, {NOW}, 1, 0.1, NULL, NULL, 0.2, 200, 0, 'ok');
CREATE TABLE alerts (
    monitor TEXT, subject TEXT, state TEXT NOT NULL, since INTEGER NOT NULL, streak INTEGER NOT NULL,
    seen INTEGER, value REAL NOT NULL, threshold REAL NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (monitor, subject)
) WITHOUT ROWID;
INSERT INTO alerts VALUES ('drift', 'load', 'pending', {NOW - 1}, 1, {NOW - 1}, 0.7, 0.2, 'moved');
CREATE TABLE alert_transitions (
    id INTEGER PRIMARY KEY, monitor TEXT NOT NULL, subject TEXT NOT NULL, previous TEXT NOT NULL,
    state TEXT NOT NULL, at INTEGER NOT NULL, value REAL NOT NULL, threshold REAL NOT NULL,
    message TEXT NOT NULL
);
INSERT INTO alert_transitions VALUES (7, 'drift', 'load', 'ok', 'pending', {NOW - 1}, 0.7, 0.2, 'moved');
CREATE TABLE retrain_attempts (
    id TEXT PRIMARY KEY, model TEXT NOT NULL, state TEXT NOT NULL, cause TEXT NOT NULL,
    started_at INTEGER NOT NULL, candidate TEXT NOT NULL, rollout TEXT NOT NULL, step INTEGER NOT NULL,
    reason TEXT NOT NULL, outcome TEXT NOT NULL, ended_at INTEGER
) STRICT;
CREATE UNIQUE INDEX one_attempt_per_model ON retrain_attempts (model) WHERE state <> 'ended';
CREATE TABLE retrain_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, attempt TEXT NOT NULL REFERENCES retrain_attempts (id),
    model TEXT NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL, facts TEXT NOT NULL
) STRICT;
INSERT INTO retrain_attempts
VALUES ('a1', 'pump', 'training', 'drift', {NOW}, 'null', '', 0, '', '', NULL);
INSERT INTO retrain_events (id, attempt, model, at, kind, message, facts)
VALUES (9, 'a1', 'pump', {NOW}, 'began', 'drift', '{{}}');
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, digest BLOB NOT NULL UNIQUE, roles TEXT NOT NULL,
    models TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER, revoked INTEGER
) STRICT;
CREATE UNIQUE INDEX one_key_of_a_name ON api_keys (name) WHERE revoked IS NULL;
INSERT INTO api_keys VALUES ('00000001', 'shop', x'00ff', '["predict"]', '[]', {NOW}, NULL, NULL);
CREATE TABLE push_tables (
    name TEXT PRIMARY KEY, columns BLOB NOT NULL, required TEXT NOT NULL, published TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE ingests (
    name TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL, rows INTEGER,
    PRIMARY KEY (name, since)
);
INSERT INTO ingests VALUES ('events', 0, {NOW}, 5), ('measurements', 0, {NOW}, 5);
CREATE TABLE promotions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL, version INTEGER NOT NULL, alias TEXT NOT NULL,
    previous_version INTEGER, reason TEXT NOT NULL, at INTEGER NOT NULL
);
CREATE TABLE promotion_ends (
    id INTEGER PRIMARY KEY REFERENCES promotions (id),
    outcome TEXT NOT NULL CHECK (outcome IN ('done', 'void'))
);
CREATE TRIGGER promotions_stay BEFORE UPDATE ON promotions
    BEGIN SELECT RAISE(ABORT, 'a promotion is never changed'); END;
CREATE TRIGGER promotions_remain BEFORE DELETE ON promotions
    BEGIN SELECT RAISE(ABORT, 'a promotion is never deleted'); END;
INSERT INTO promotions VALUES (3, 'pump', 1, 'champion', NULL, 'first', {NOW});
INSERT INTO promotion_ends VALUES (3, 'done');
"""


@pytest.fixture
def earlier(made: Path, tmp_path: Path) -> Station:
    """A station whose model is registered, with the state database of an earlier release."""
    station = copy_of(made, tmp_path / "pump")
    for path in station.settings.home.glob("state.db*"):
        path.unlink()
    with closing(sqlite3.connect(station.settings.home / "state.db")) as database:
        database.executescript(EARLIER)
    return station


def test_what_an_earlier_release_told_and_saw_goes_on(earlier: Station) -> None:
    story, kept = Story(earlier.state), Observations(earlier.state)
    added = story.add(LIVE, "retraining", reason="again")
    assert [event.seq for event in story.events()] == [41, 42]
    assert story.events(after=41) == [added]
    kept.keep([SEEN])
    assert kept.of("drift") == [SEEN]
    assert earlier.alerts.observe("drift", "load", value=0.7, enter=0.2, exit=0.1, now=LIVE).state == "firing"
    assert [each.state for each in earlier.alerts.history()] == [AlertState.PENDING, AlertState.FIRING]


def test_what_an_earlier_release_began_is_ended(earlier: Station) -> None:
    journal = AttemptJournal(earlier.settings.store("state"))
    begun = journal.open_attempt("pump")
    assert begun is not None
    ended = replace(begun, state=AttemptState.ENDED, outcome=Outcome.FAILED, ended_at=LIVE)
    journal.move(begun, ended, LoopEvent("failed", "", {}, LIVE, begun.id))
    second = journal.begin("pump", "again", LIVE)
    assert [attempt.id for attempt in journal.history("pump")] == ["a1", second.id]
    assert [event.kind for event in journal.events("pump")] == ["began", "failed", "began"]
    assert ingest_new(earlier, LIVE) == {}  # it came to the tables already
    promotion = earlier.promotions.promote("pump", 1, "champion", "again")
    assert [each.reason for each in earlier.promotions.history("pump")] == ["first", "again"]
    assert promotion.previous_version == 1
    with pytest.raises(EsteiraError, match="never changed"), earlier.state.transaction() as writer:
        writer.execute("UPDATE promotions SET reason = 'another'")


def test_who_an_earlier_release_let_in_and_what_it_published_is_known(earlier: Station) -> None:
    url = earlier.settings.store("state")
    keys, tables = KeyStore(url), PushTables(url)
    key, secret = new_key("late", ["report"], created=NOW)
    keys.add(key, secret)
    assert [each.name for each in keys.all()] == ["late", "shop"]
    assert keys.by_digest()[b"\x00\xff"].name == "shop"
    keys.revoke("00000001", NOW)
    assert [*keys.by_digest().values()] == [key]
    tables.publish([PushTable("readings", pa.schema({"pump": pa.string()}))])
    assert [*tables.all()] == ["readings"]
    assert isinstance(earlier.state, Database)


# on a server


def on_server(folder: Path, url: str) -> Station:
    """A new project whose settings name a server for the state, with a deployed model and a second one."""
    settings = folder / "esteira.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(f'{text}\n[stores]\nstate = "{url}"\n', encoding="utf-8")
    station = open_station(folder)
    ring = Ring(station)
    ring.ingest(LIVE - HOUR)
    ring.first_model()
    judge_and_register(station, train(station, parameters={"seed": 8}))
    return station


def wait_for(url: str, version: int) -> None:
    """Until a gateway serves a version."""
    until = time.monotonic() + 30
    while send(f"{url}/v2/models/pump")[1]["versions"] != [str(version)]:
        assert time.monotonic() < until, "the gateway does not follow"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_project_lives_on_a_server_and_keeps_no_state_on_its_machine(
    fresh: Path, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    station, root = on_server(fresh, postgres_url), str(fresh)
    assert esteira("keys", "add", "shop", "--role", "predict", "-C", root, capsys=capsys)[0] == 0
    with Days(station, LIVE + DAY) as days:
        wait_for(days.gateway.url, 1)
        days.pass_by()
        assert esteira("deploy", "2", "-C", root, capsys=capsys)[0] == 0
        wait_for(days.gateway.url, 2)
        days.all_drained()
    assert days.client.answers.failed == 0
    assert station.tables.read("predictions").num_rows > 10
    assert [each.version for each in station.promotions.history("pump")] == [1, 2]
    assert told(station)[0] == "trained"
    for words in (["verify"], ["status"], ["rollback"]):
        code, said, errors = esteira(*words, "-C", root, capsys=capsys)
        assert code == 0, said + errors
    assert [path.name for path in station.settings.home.rglob("*state*") if path.name != "mlflow.db"] == []


@pytest.mark.slow
def test_a_gateway_answers_while_the_server_is_away_and_follows_when_it_is_back(
    fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = PostgresServer()
    server.start()
    try:
        station, root = on_server(fresh, server.schema("pump")), str(fresh)
        with Days(station, LIVE + DAY) as days:
            signature = days.ring.champion_signature()
            server.kill()
            assert "PostgreSQL at 127.0.0.1" in refused("deploy", "2", "-C", root, capsys=capsys, code=1)
            days._replay.until(LIVE + 2 * HOUR, "pump", signature)
            assert (days.client.answers.count > 0, days.client.answers.failed) == (True, 0)
            found = {each.what: each.problems for each in verify(open_station(fresh))}
            assert [what for what, each in found.items() if each] == ["routes"]
            server.start()
            assert esteira("deploy", "2", "-C", root, capsys=capsys)[0] == 0
            wait_for(days.gateway.url, 2)
            days.all_drained()
        assert station.tables.read("predictions").num_rows > 0
    finally:
        server.remove()
