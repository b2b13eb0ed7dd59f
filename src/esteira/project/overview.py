"""What a person wants to see of a project, read from its stores: the pages and `esteira status` show this."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from esteira.base.clock import from_micros
from esteira.base.records import AlertState
from esteira.project.observations import Observations
from esteira.project.release import CHAMPION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from esteira.base.records import Alert, Run, TableVersion
    from esteira.project.observations import Observation
    from esteira.project.station import Station
    from esteira.serving.rollout.state import Rollout
    from esteira.serving.routes import Routes

DAY = timedelta(days=1)
_QUARANTINE = "_quarantine"


@dataclass(frozen=True, slots=True)
class TableState:
    """A table as it stands."""

    version: TableVersion
    quarantined: int  # rows kept aside, in all


@dataclass(frozen=True, slots=True)
class TrafficDay:
    """What the gateway answered on one day, by version."""

    day: datetime
    answers: Mapping[int, int]  # version → predictions


@dataclass(frozen=True, slots=True)
class Overview:
    """The ring at one moment."""

    project: str
    now: datetime
    tables: tuple[TableState, ...]
    last_run: Run | None
    routes: Routes | None
    champion: int | None
    rollout: Rollout | None  # the one under way
    alerts: tuple[Alert, ...]  # all but the quiet ones
    performance: Observation | None  # the newest window
    predictions: int
    labels: int
    audit_records: int


def overview(station: Station) -> Overview:
    """The ring's state now; everything that does not exist yet is None, empty or zero."""
    name = station.project.name
    tables = {state.version.table: state for state in table_states(station)}
    runs = station.journal.runs()
    routes = station.routes.get(name)
    performance = Observations(station.state).of("performance")
    newest = station.audit.events(limit=1)
    return Overview(
        project=name,
        now=station.clock.now(),
        tables=tuple(tables.values()),
        last_run=runs[-1] if runs else None,
        routes=routes,
        champion=routes.champion.version if routes else None,
        rollout=station.rollouts.active(name),
        alerts=tuple(a for a in station.alerts.alerts() if a.state is not AlertState.OK),
        performance=performance[-1] if performance else None,
        predictions=tables["predictions"].version.rows if "predictions" in tables else 0,
        labels=tables["labels"].version.rows if "labels" in tables else 0,
        audit_records=newest[-1].seq if newest else 0,
    )


def table_states(station: Station) -> list[TableState]:
    """Every table at its newest version, with how many rows were put aside."""
    names = station.tables.names()
    aside = {
        n.removesuffix(_QUARANTINE): station.tables.version(n).rows for n in names if n.endswith(_QUARANTINE)
    }
    return [
        TableState(station.tables.version(name), aside.get(name, 0))
        for name in names
        if not name.endswith(_QUARANTINE)
    ]


def traffic(station: Station, days: int = 400) -> list[TrafficDay]:
    """Answers per day and version, oldest first."""
    if "predictions" not in station.tables.names():
        return []
    since = station.clock.now() - days * DAY
    rows = station.tables.read("predictions", columns=["at", "version"], where=[("at", ">=", since)])
    if not rows.num_rows:
        return []
    day = pc.floor_temporal(rows["at"], unit="day").cast("int64").to_numpy()
    version = rows["version"].to_numpy()
    pairs, counts = np.unique(np.stack([day, version]), axis=1, return_counts=True)
    answers: dict[int, dict[int, int]] = {}
    for (at, number), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
        answers.setdefault(at, {})[number] = count
    return [TrafficDay(from_micros(at), counted) for at, counted in sorted(answers.items())]


def champion_since(station: Station) -> datetime | None:
    """When the present champion was promoted."""
    history = [p for p in station.promotions.history(station.project.name) if p.alias == CHAMPION]
    return history[-1].at if history else None
