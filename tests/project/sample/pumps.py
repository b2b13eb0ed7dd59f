"""Will this pump fail within hours? Asked every hour; the answer is published on the hour after it is known.

A pump fails when its load lies in the middle, until new firmware comes on CHANGE_DAY: then in the middle it
does not. Trees can learn that from either side of the day, a straight line cannot.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira import (
    Canary,
    FeatureView,
    Gate,
    Model,
    Project,
    Rehearsal,
    Retrain,
    TableSource,
    drift,
    performance,
    step,
)
from esteira.data import InRange, NotNull, Unique
from esteira.features import BoundView, Count, Mean, Window, point_in_time_join
from esteira.registry import Signature, infer_signature
from esteira.training import fit, time_split

if TYPE_CHECKING:
    from collections.abc import Callable

CHANGE_DAY = 22
DAYS, PER_HOUR, PUMPS, SITES = 60, 4, 12, 3
START = datetime(2020, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOUR_US = HOUR // timedelta(microseconds=1)
TIME = pa.timestamp("us", tz="UTC")


def _times(micros: np.ndarray) -> pa.Array:
    return pa.array(micros.astype(np.int64)).cast(TIME)


def _hours(count: int) -> np.ndarray:
    first = int(START.timestamp()) * 1_000_000
    return first + np.arange(count) * HOUR_US


@cache
def measurements() -> pa.Table:
    """The heat at each site, an hour late and with holes."""
    chance = np.random.default_rng(11)
    at = np.repeat(_hours(DAYS * 24), SITES)
    site = np.tile(np.arange(SITES), DAYS * 24)
    heat = np.round(20 + 8 * np.sin(at / HOUR_US * np.pi / 12) + 3 * site + chance.normal(0, 2, len(at)), 2)
    rows = pa.table(
        {
            "site": pa.array([f"S{each}" for each in site]),
            "observed_at": _times(at),
            "published_at": _times(at + HOUR_US),
            "heat": pa.array(heat, mask=chance.random(len(at)) < 0.05),
        }
    )
    return rows.filter(pa.array(chance.random(len(at)) > 0.1))


@cache
def events() -> pa.Table:
    """Every question with its outcome, when it was published."""
    chance = np.random.default_rng(7)
    asked = np.repeat(_hours(DAYS * 24), PER_HOUR)
    rows = len(asked)
    load = np.round(chance.uniform(0, 100, rows), 1)
    is_new = asked >= _hours(DAYS * 24)[CHANGE_DAY * 24 if CHANGE_DAY < DAYS else -1]
    in_the_middle = np.abs(load - 50) < 22
    odds = np.where(in_the_middle ^ is_new, 1.8, -1.8)
    happened = asked + chance.integers(HOUR_US // 2, 4 * HOUR_US, rows)
    published = -(-happened // HOUR_US) * HOUR_US
    pump = chance.integers(0, PUMPS, rows)
    made = pa.table(
        {
            "event_id": [f"e{number:05}" for number in range(rows)],
            "pump": [f"P{each}" for each in pump],
            "site": [f"S{each % SITES}" for each in pump],
            "load": load,
            "firmware": np.where(is_new, "b", "a"),
            "asked_at": _times(asked),
            "happened_at": _times(happened),
            "published_at": _times(published),
            "failed": (chance.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int8),
        }
    )
    return made.sort_by([("published_at", "ascending"), ("event_id", "ascending")])


@cache
def questions_asked() -> pa.Table:
    return events().sort_by([("asked_at", "ascending"), ("event_id", "ascending")])


def _published(everything: Callable[[], pa.Table]) -> Callable[[datetime, datetime], pa.Table]:
    def between(since: datetime, until: datetime) -> pa.Table:
        at = everything()["published_at"]
        return everything().filter(pc.and_(pc.greater(at, since), pc.less_equal(at, until)))

    return between


SOURCES = (
    TableSource(
        "events",
        _published(events),
        checks=(NotNull(("event_id", "failed")), InRange("load", 0.5, 99.5), Unique(("event_id",))),
    ),
    TableSource("measurements", _published(measurements), checks=(InRange("heat", -40, 60),)),
)

climate = FeatureView(
    "climate",
    keys=("site",),
    features=("heat",),
    source="measurements",
    event_time="observed_at",
    created_time="published_at",
    ttl=timedelta(hours=3),
)
pump_day = FeatureView(
    "pump_day",
    keys=("pump",),
    features=("runs", "fail_share"),
    source="events",
    window=Window(("pump",), "happened_at", 24 * HOUR, HOUR, {"runs": Count(), "fail_share": Mean("failed")}),
)
VIEWS = (climate, pump_day)
COLUMNS = ("load", "firmware", *(column for view in VIEWS for column in view.columns))


@step
def spine(events: pa.Table, until: datetime, days: int = 14) -> pa.Table:
    recent = pc.and_(
        pc.greater_equal(events["asked_at"], pa.scalar(until - timedelta(days=days))),
        pc.less_equal(events["published_at"], pa.scalar(until)),
    )
    return events.filter(recent).sort_by([("asked_at", "ascending"), ("event_id", "ascending")])


@step
def questions(spine: pa.Table, climate: BoundView, pump_day: BoundView) -> pa.Table:
    return point_in_time_join(spine, [climate, pump_day], at="asked_at")


@step
def train(questions: pa.Table, holdout_days: int = 3) -> pa.Table:
    return time_split(questions, at="asked_at", holdout=timedelta(days=holdout_days))[0]


@step
def holdout(questions: pa.Table, holdout_days: int = 3) -> pa.Table:
    return time_split(questions, at="asked_at", holdout=timedelta(days=holdout_days))[1]


def signature_of(train: pa.Table) -> Signature:
    return infer_signature(train, "failed", columns=COLUMNS, views=tuple(view.ref() for view in VIEWS))


@step
def model(train: pa.Table, seed: int = 7) -> Model:
    return fit("lightgbm:", train, signature_of(train), seed=seed, threads=1, max_rounds=40)


@step
def baseline(train: pa.Table, seed: int = 7) -> Model:
    return fit("sklearn:", train, signature_of(train), seed=seed)


project = Project(
    "pump",
    steps=[spine, questions, train, holdout, model, baseline],
    tables=SOURCES,
    views=VIEWS,
    gates=[
        Gate("roc_auc", at_least=0.6),
        Gate("log_loss", not_worse_than="baseline"),
        Gate("log_loss", not_worse_than="champion"),
    ],
    baseline="baseline",
    rollout=Canary(
        (0.25, 1.0),
        bake=timedelta(days=1),
        minimum=40,
        max_duration=timedelta(days=12),
        margin=0.05,
        max_latency_ratio=100,
    ),
    monitors=[
        drift(false_alarms=1, per=timedelta(days=365), window=timedelta(days=2), minimum=50),
        performance("roc_auc", window=timedelta(days=2), tolerance=0.1, minimum=50),
    ],
    retrain=Retrain(on="alert", cooldown=timedelta(days=3), minimum_labels=100),
    rehearsal=Rehearsal(
        questions_asked,
        id="event_id",
        at="asked_at",
        answers="events",
        outcome="failed",
        observed="happened_at",
        step=HOUR,
    ),
)
