"""A project whose canary has been under way for two days: answers, failures, labels, and looks at them."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from tests.web.stations import NOW, copy_of, lived

from esteira.base.clock import SimulatedClock, to_micros
from esteira.base.records import Label, Prediction
from esteira.monitoring.failure_log import FailedRequest, FailureLog
from esteira.monitoring.prediction_log import LabelLog, PredictionLog
from esteira.project.ring import Ring
from esteira.project.rollouts.rolling import abort, start_rollout
from esteira.project.station import Station, open_station
from esteira.serving.rollout.sequences import mean_interval
from esteira.serving.rollout.strategies import Canary
from esteira.serving.rollout.verdict import Verdict
from esteira.serving.routes import choose

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.serving.rollout.state import Rollout

TWO_DAYS = timedelta(days=2)
PLAN = Canary((0.2, 0.5, 1.0), block=timedelta(0), minimum=300, margin=0.02)
ASKED = 1_500


def rolled(made: Path, to: Path, *, looks: int = 40) -> Station:
    """A copy of a project that has lived, with a canary of version 2 at its first step."""
    station = open_station(copy_of(made, to), actor="ana")
    abort(station, "another plan")
    assert isinstance(station.clock, SimulatedClock)
    station.clock.advance(timedelta(minutes=1))
    start_rollout(station, 2, "looks better on the holdout", PLAN)
    _answer(station)
    for n in range(looks):
        station.clock.set(NOW + timedelta(minutes=1) + (n + 1) / looks * TWO_DAYS)
        _look(station, (n + 1) / looks)
    Ring(station).drain()
    return station


def active(station: Station) -> Rollout:
    """The rollout under way."""
    found = station.rollouts.active("tiny")
    assert found is not None
    return found


def _answer(station: Station) -> None:
    chance, routes = np.random.default_rng(3), station.routes.get("tiny")
    assert routes is not None
    url = station.settings.store("predictions")
    predictions, labels, failures = PredictionLog(url, "w1"), LabelLog(url, "w1"), FailureLog(url, "w1")
    scores = {1: chance.beta(2, 3, ASKED), 2: chance.beta(2.4, 3, ASKED)}
    for n in range(ASKED):
        at = to_micros(NOW + timedelta(minutes=1) + (n + 1) / (ASKED + 9) * TWO_DAYS)
        arm = choose(routes, f"k{n}")
        seconds = float(chance.gamma(4, 0.0004) * (1.2 if arm.version == 2 else 1))
        score = float(scores[arm.version][n])
        if n % 400 == 7:
            failed = (f"r{n}", at, "tiny", arm.version, arm.name, routes.revision, f"k{n}", 500)
            failures.write(FailedRequest(*failed, "RuntimeError: it broke", seconds))
            continue
        asked = ("tiny", arm.version, arm.name, routes.revision, f"k{n}")
        predictions.write(Prediction(f"r{n}", at, *asked, score, seconds, (0.5,)))
        if n % 10 < 7:
            labels.write(Label(f"r{n}", float(n % 3 == 0), at, at))
    for each in (predictions, labels, failures):
        each.close()


def _look(station: Station, part: float) -> None:
    """What a look says of that part of the labels: the same facts that the ring keeps."""
    differences = np.random.default_rng(5).normal(-0.012, 0.09, 1_000)[: int(1_000 * part)]
    interval = mean_interval(differences, PLAN.alpha, PLAN.planned_observations)
    rollout = active(station)
    reason = f"{min(round(210 * part), 300)} of 300 labelled predictions at this step"
    station.rollouts.hold(rollout, reason, Verdict("hold", reason, interval).facts())


@cache
def rolled_once(home: Path) -> Station:
    """One to read only, made once in a folder."""
    return rolled(lived(home), home / "rolled")
