"""What the tests of the doors share: a tiny project, empty, and one with a life behind it."""

from __future__ import annotations

import shutil
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from esteira.base.clock import parse_time, to_micros
from esteira.base.records import Label, Prediction
from esteira.monitoring.prediction_log import LabelLog, PredictionLog
from esteira.project.ingesting import ingest_new
from esteira.project.observations import Observation, Observations
from esteira.project.release import deploy, judge_and_register, train
from esteira.project.ring import Ring
from esteira.project.rollouts.rolling import start_rollout
from esteira.project.station import Station, open_station
from esteira.project.story import Story

if TYPE_CHECKING:
    from pathlib import Path

NOW = parse_time("2020-03-01T00:00:00Z")
HOSTILE = "<script>alert('x')</script>"
ESCAPED = "&lt;script&gt;"

SETTINGS = """clock = "simulated:.esteira/clock?start=2020-03-01T00:00:00Z"
[project]
name = "tiny"
file = "tiny.py"
[gateway]
port = 0
flush_ms = 5
[web]
port = 0
"""

PROJECT = '''"""Is x large?"""
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from esteira import FeatureView, Gate, Model, Project, TableSource, step
from esteira.registry import infer_signature
from esteira.training import fit, time_split

HOUR = timedelta(hours=1)
FIRST = datetime(2020, 2, 1, tzinfo=UTC)


def facts(since: datetime, until: datetime) -> pa.Table:
    chance = np.random.default_rng(7)
    x = np.round(chance.uniform(0, 1, 400), 3)
    at = [FIRST + HOUR * n for n in range(400)]
    rows = pa.table({"asked_at": at, "published_at": at, "x": x, "y": (x + chance.normal(0, 0.2, 400) > 0.5)})
    rows = rows.set_column(3, "y", rows["y"].cast("int8"))
    kept = [since < moment <= until for moment in at]
    time = pa.timestamp("us", tz="UTC")
    for n, name in enumerate(("asked_at", "published_at")):
        rows = rows.set_column(n, name, rows[name].cast(time))
    return rows.filter(pa.array(kept))


latest = FeatureView(
    "latest",
    keys=(),
    features=("x", "y"),
    source="facts",
    event_time="asked_at",
    created_time="published_at",
    ttl=HOUR,
    description="the newest x <script>alert('x')</script>",
)


@step
def train(facts: pa.Table, until: datetime, hours: int = 80) -> pa.Table:
    return time_split(facts, at="asked_at", holdout=hours * HOUR)[0]


@step
def holdout(facts: pa.Table, until: datetime, hours: int = 80) -> pa.Table:
    return time_split(facts, at="asked_at", holdout=hours * HOUR)[1]


@step
def model(train: pa.Table, seed: int = 7) -> Model:
    signature = infer_signature(train, "y", columns=("x",))
    return fit("lightgbm:", train, signature, seed=seed, threads=1, max_rounds=5)


project = Project(
    "tiny",
    steps=[train, holdout, model],
    tables=[TableSource("facts", facts)],
    views=[latest],
    gates=[Gate("roc_auc", at_least=0.6)],
)
'''


def lay_down(folder: Path, settings: str = SETTINGS, project: str = PROJECT) -> Path:
    """A project folder in which nothing has happened."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "esteira.toml").write_text(settings, encoding="utf-8")
    (folder / "tiny.py").write_text(project, encoding="utf-8")
    return folder


@cache
def lived(home: Path) -> Path:
    """A project folder with two versions, a canary, predictions, labels, alerts; made once, read it only."""
    folder = lay_down(home / "lived")
    station = open_station(folder, actor=HOSTILE)
    ingest_new(station, NOW)
    for seed in (7, 8):
        judge_and_register(station, train(station, parameters={"seed": seed}))
    deploy(station, 1, f"the first {HOSTILE}")
    start_rollout(station, 2, f"looks better {HOSTILE}")
    _answer(station)
    Ring(station).tick(NOW)
    _watch(station)
    return folder


def copy_of(folder: Path, to: Path) -> Path:
    """The same project somewhere else, to be changed."""
    return shutil.copytree(folder, to)


def _answer(station: Station) -> None:
    url = station.settings.store("predictions")
    predictions, labels = PredictionLog(url, "w0"), LabelLog(url, "w0")
    for n in range(60):
        at = to_micros(NOW - timedelta(hours=n))
        version, arm = (2, "challenger") if n % 4 == 0 else (1, "champion")
        predictions.write(Prediction(f"p{n}", at, "tiny", version, arm, 2, f"k{n}", 0.25, 0.001, (0.5,)))
        labels.write(Label(f"p{n}", float(n % 2), at, at))
    predictions.close()
    labels.close()


def _watch(station: Station) -> None:
    """Ten weeks: the metric falls and rises, a column moves, one window says nothing."""
    seen, week = [], timedelta(days=7)
    for n in range(10):
        start = NOW - (10 - n) * week
        value = None if n == 4 else 0.75 - 0.02 * (n % 4)
        verdict = "not enough data" if value is None else "worse" if n % 4 == 3 else "ok"
        low, high = (None, None) if value is None else (value - 0.02, value + 0.02)
        window = (start, start + week, 1)
        seen.append(Observation("performance", "roc_auc", *window, value, low, high, 0.7, 900, 800, verdict))
        seen.append(Observation("drift", f"x{HOSTILE}", *window, 0.1 * n, None, None, 0.5, 900, 0, "drifted"))
        unknown = Observation("drift", "quiet", *window, 0.0, None, None, 0.0, 3, 0, "not enough data")
        seen.append(unknown)
    Observations(station.state).keep(seen)
    for n in range(2):
        station.alerts.observe(
            "drift", "x", value=1.0 + n, enter=0.5, exit=0.4, now=NOW + timedelta(days=n), message=HOSTILE
        )
    story = Story(station.state)
    story.add(NOW, "deployed", version=1, reason=HOSTILE)
    story.add(NOW, "alarm", monitor="drift", subject="x", message="x moved")
