"""What the tests of the assembly share: the sample project as files, copies of it, and days that pass."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.clock import EPOCH, SimulatedClock, to_micros
from esteira.base.records import Label, Prediction
from esteira.cli.main import main
from esteira.data.checks import validate
from esteira.features.point_in_time import point_in_time_join
from esteira.monitoring.prediction_log import (
    encode_label,
    encode_prediction,
    labels_table,
    predictions_table,
)
from esteira.project.demo.client import ReplayClient
from esteira.project.demo.replay import Replay, publications
from esteira.project.feed import OnlineFeed
from esteira.project.release import load_model
from esteira.project.ring import Ring
from esteira.project.running import bind
from esteira.project.station import Station, open_station
from esteira.project.story import Story
from esteira.serving.process import GatewayProcess
from esteira.serving.routes import CHAMPION, Arm, Routes, Shadow, choose
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from types import TracebackType

    import pytest

    from esteira.project.definition import Rehearsal
    from esteira.serving.rollout.state import Rollout

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SAMPLE = HERE / "sample"
LIVE = datetime(2020, 1, 21, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STEADY = ("CHANGE_DAY = 22", "CHANGE_DAY = 60")


def lay(folder: Path, *changes: tuple[str, str]) -> Path:
    """The sample project as files, with pieces of its text changed."""
    shutil.copytree(SAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    rewrite(folder, *changes)
    return folder


def rewrite(folder: Path, *changes: tuple[str, str]) -> None:
    """Change pieces of the project file."""
    path = folder / "pumps.py"
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def copy_of(made: Path, target: Path) -> Station:
    """A project folder with all its stores somewhere else; MLflow keeps absolute places, which move along."""
    shutil.copytree(made, target, dirs_exist_ok=True)
    with closing(sqlite3.connect(target / ".esteira" / "mlflow.db")) as database, database:
        for table, column in _texts(database):
            database.execute(
                f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) WHERE "{column}" LIKE ?',
                (f"{made}/", f"{target}/", f"%{made}/%"),
            )
    return open_station(target, actor="test")


def _texts(database: sqlite3.Connection) -> list[tuple[str, str]]:
    tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return [
        (table, row[1])
        for table in tables
        for row in database.execute(f"PRAGMA table_info('{table}')")
        if "CHAR" in row[2] or "TEXT" in row[2]
    ]


def rehearsal_of(station: Station) -> Rehearsal:
    assert station.project.rehearsal is not None
    return station.project.rehearsal


def clock_of(station: Station) -> SimulatedClock:
    assert isinstance(station.clock, SimulatedClock)
    return station.clock


def shares(station: Station) -> dict[int, float]:
    """The share of each version in the routes in force."""
    routes = station.routes.get("pump")
    assert routes is not None
    return {each.version: each.share for each in routes.arms}


def active(station: Station) -> Rollout:
    """The rollout under way."""
    rollout = station.rollouts.active("pump")
    assert rollout is not None
    return rollout


def champion(station: Station) -> int | None:
    """The version that the registry calls champion."""
    found = station.registry.alias("pump", CHAMPION)
    return None if found is None else found.version


class Days:
    """Days that pass for a deployed project, through a gateway in a process of its own."""

    def __init__(self, station: Station, until: datetime) -> None:
        self.station, self.ring = station, Ring(station)
        self.rehearsal, self._until = rehearsal_of(station), until
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        station, before = self.station, self.station.clock.now() - self.rehearsal.step
        self.gateway = self._stack.enter_context(GatewayProcess(station.settings.root))
        self.client = self._stack.enter_context(ReplayClient(self.gateway.url))
        self.ring.ingest(before)  # of a day that was cut off, what is known already
        feed = OnlineFeed(station.project.views, station.online, station.ledger)
        feed.catch_up(station.tables, before)
        published = publications(station.project.tables, before, self._until)
        self._replay = Replay(self.rehearsal, published, clock_of(station), feed, self.client)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def pass_by(self, days: int = 1) -> None:
        for _ in range(days):
            now = self.station.clock.now()
            until = now - (now - EPOCH) % DAY + DAY  # the next midnight
            self._replay.until(until, self.station.project.name, self.ring.champion_signature())
            self.ring.ingest(until - self.rehearsal.step)
            self.ring.tick(until)

    def all_drained(self) -> None:
        self.gateway.stop()
        self.ring.drain()


def told(station: Station) -> list[str]:
    """The kinds of what the story tells."""
    return [event.kind for event in Story(station.state).events()]


def esteira(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """The command in this process: exit code, output, errors."""
    capsys.readouterr()
    code = main(words)
    said = capsys.readouterr()
    return code, said.out, said.err


def refused(*words: str, capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """What the command says when it must refuse: one line, no traceback, nothing on standard output."""
    found, _, errors = esteira(*words, capsys=capsys)
    assert found == code, errors
    assert errors.startswith("esteira: ")
    assert "Traceback" not in errors
    assert errors.count("\n") == 1, errors
    return errors


def killed(script: str, *words: str, environment: dict[str, str] | None = None) -> int:
    """The exit code of a Python script in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode in (0, -9), ended.stderr[-2000:]
    return ended.returncode


def flip(path: Path, at: int = -20) -> None:
    """Change one byte of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def problems(findings: Any) -> list[str]:
    return [problem for finding in findings for problem in finding.problems]


def answer(station: Station, days: int) -> int:
    """Some days of questions answered in this process by the champion, as the gateway would, with labels.

    Returns how many were asked. The clock stands at the end of those days.
    """
    begin = station.clock.now()
    end = begin + days * DAY
    rows = rehearsal_of(station).questions()
    rows = rows.filter(pc.and_(pc.greater_equal(rows["asked_at"], begin), pc.less(rows["asked_at"], end)))
    questions, routes = _questions(station, rows, end), station.routes.get(station.project.name)
    assert routes is not None
    station.tables.append("predictions", predictions_table(_answers(station, routes, questions)))
    mirrored = [row for each in routes.shadows for row in _of_arm(station, routes, each, questions)]
    if mirrored:
        station.tables.append("shadows", predictions_table(mirrored))
    known = rows.filter(pc.less_equal(rows["published_at"], end)).to_pylist()
    labels = [
        Label(row["event_id"], row["failed"], to_micros(row["happened_at"]), to_micros(row["published_at"]))
        for row in known
    ]
    station.tables.append("labels", labels_table([encode_label(each) for each in labels]))
    clock_of(station).set(end)
    return int(rows.num_rows)


def _questions(station: Station, rows: pa.Table, end: datetime) -> pa.Table:
    """Questions with what the views say of them."""
    sources = {
        source.name: validate(source.read(EPOCH, end), source.checks, end).good
        for source in station.project.tables
    }
    views = [bind(view, sources[view.source]) for view in station.project.views]
    return point_in_time_join(rows, views, at="asked_at")


def _answers(station: Station, routes: Routes, questions: pa.Table) -> list[bytes]:
    arms = [choose(routes, name).name for name in questions["event_id"].to_pylist()]
    answered = []
    for each in routes.arms:
        is_mine = pa.array([name == each.name for name in arms])
        answered += _of_arm(station, routes, each, questions.filter(is_mine))
    return answered


def _of_arm(station: Station, routes: Routes, arm: Arm | Shadow, rows: pa.Table) -> list[bytes]:
    model = load_model(station, station.version(arm.version))
    matrix = model.signature.encode_table(rows)
    ids, asked = rows["event_id"].to_pylist(), rows["asked_at"].cast(pa.int64()).to_pylist()
    scored = zip(ids, asked, open_runtime(model).predict(matrix).tolist(), matrix.tolist(), strict=True)
    who = (arm.version, arm.name, routes.revision)
    return [
        encode_prediction(Prediction(name, at, routes.model, *who, name, score, 1e-4, tuple(vector)))
        for name, at, score, vector in scored
    ]
