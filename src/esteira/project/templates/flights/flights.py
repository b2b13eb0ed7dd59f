"""Will this flight arrive more than 15 minutes late? Asked at least one hour before it should leave.

Everything that the ring needs to know about this model stands here. Steps are plain functions; a parameter
named like another step, a table or a view is that thing; the others are parameters of the run.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from sources import FEED, SOURCES, departures

from esteira import Canary, FeatureView, Gate, Model, Project, Rehearsal, Retrain, drift, performance, step
from esteira.features import BoundView, Count, Mean, Window, point_in_time_join
from esteira.registry import Signature, infer_signature
from esteira.training import fit, time_split

# ── Features: what is known of weather, airports, carriers and planes at the moment of asking ───────────

weather = FeatureView(
    "weather",
    keys=("origin",),
    features=("temp", "wind_speed", "precip", "visib", "pressure", "humid"),
    source="weather",
    event_time="observed_at",
    created_time="published_at",
    ttl=timedelta(hours=6),
)
origin_now = FeatureView(
    "origin_now",
    keys=("origin",),
    features=("landed", "late_share", "mean_delay"),
    source="flights",
    window=Window(
        keys=("origin",),
        time="landed_at",
        length=timedelta(hours=3),
        hop=timedelta(hours=1),
        measures={"landed": Count(), "late_share": Mean("late"), "mean_delay": Mean("arr_delay")},
    ),
)
carrier_day = FeatureView(
    "carrier_day",
    keys=("carrier",),
    features=("landed", "late_share", "mean_delay"),
    source="flights",
    window=Window(
        keys=("carrier",),
        time="landed_at",
        length=timedelta(hours=24),
        hop=timedelta(hours=1),
        measures={"landed": Count(), "late_share": Mean("late"), "mean_delay": Mean("arr_delay")},
    ),
)
plane_last = FeatureView(
    "plane_last",
    keys=("tailnum",),
    features=("arr_delay", "distance"),
    source="flights",
    event_time="landed_at",
    created_time="published_at",
    ttl=timedelta(days=2),
)
plane = FeatureView(
    "plane",
    keys=("tailnum",),
    features=("year", "seats"),
    source="planes",
    event_time="published_at",
)
VIEWS = (weather, origin_now, carrier_day, plane_last, plane)

REQUEST = ("carrier", "origin", "dest", "distance", "month", "weekday", "minute_of_day")
"""What the caller sends with the keys; the gateway reads the rest online."""

COLUMNS = (*REQUEST, *(column for view in VIEWS for column in view.columns))


# ── Steps ───────────────────────────────────────────────────────────────────────────────────────────────


@step
def spine(flights: pa.Table, until: datetime, days: int = 365) -> pa.Table:
    """The questions of the last `days` whose answers are known."""
    recent = pc.and_(
        pc.greater_equal(flights["asked_at"], pa.scalar(until - timedelta(days=days))),
        pc.less_equal(flights["published_at"], pa.scalar(until)),
    )
    columns = [*REQUEST, "flight_id", "tailnum", "asked_at", "late"]
    return (
        flights.filter(recent)
        .select(columns)
        .sort_by([("asked_at", "ascending"), ("flight_id", "ascending")])
    )


@step
def questions(
    spine: pa.Table,
    weather: BoundView,
    origin_now: BoundView,
    carrier_day: BoundView,
    plane_last: BoundView,
    plane: BoundView,
) -> pa.Table:
    """Each question with every feature as it was known when it was asked."""
    views = [weather, origin_now, carrier_day, plane_last, plane]
    return point_in_time_join(spine, views, at="asked_at")


@step
def train(questions: pa.Table, holdout_days: int = 14) -> pa.Table:
    """What the model may learn from."""
    return time_split(questions, at="asked_at", holdout=timedelta(days=holdout_days))[0]


@step
def holdout(questions: pa.Table, holdout_days: int = 14) -> pa.Table:
    """The newest days, which no model has seen: the gates judge on them."""
    return time_split(questions, at="asked_at", holdout=timedelta(days=holdout_days))[1]


def signature_of(train: pa.Table) -> Signature:
    """What the model asks for: the request columns and the features of every view."""
    return infer_signature(train, "late", columns=COLUMNS, views=tuple(view.ref() for view in VIEWS))


@step
def model(train: pa.Table, seed: int = 7) -> Model:
    """Gradient-boosted trees."""
    return fit("lightgbm:", train, signature_of(train), seed=seed, threads=1)


@step
def baseline(train: pa.Table, seed: int = 7) -> Model:
    """Logistic regression: what the trees must beat."""
    return fit("sklearn:", train, signature_of(train), seed=seed)


project = Project(
    "flight-delay",
    steps=[spine, questions, train, holdout, model, baseline],
    tables=SOURCES,
    views=VIEWS,
    gates=[
        Gate("roc_auc", at_least=0.65),
        Gate("log_loss", not_worse_than="baseline"),
        Gate("log_loss", not_worse_than="champion"),
        Gate("calibration", at_most=0.10),
    ],
    baseline="baseline",
    rollout=Canary(shares=(0.05, 0.25, 1.0)),
    monitors=[drift(false_alarms=1, per=timedelta(days=90)), performance("roc_auc")],
    retrain=Retrain(on="alert", cooldown=timedelta(days=21)),
    rehearsal=Rehearsal(
        departures,
        id="flight_id",
        at="asked_at",
        answers="flights",
        outcome="late",
        observed="landed_at",
        step=FEED,
    ),
)
