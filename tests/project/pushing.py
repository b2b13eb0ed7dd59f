"""A project whose one table is filled by pushes, and what pushes to it in the tests."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from esteira.base.clock import parse_time
from esteira.features.point_in_time import point_in_time_join
from esteira.monitoring.push_log import Push, PushLog
from esteira.project.running import bind

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

    from esteira.project.station import Station

NOON = parse_time("2020-03-01T12:00:00Z")
MINUTE = timedelta(minutes=1)
SETTINGS = """clock = "simulated:.esteira/clock?start=2020-03-01T12:00:00Z"
[project]
name = "pumps"
[gateway]
port = 0
[web]
port = 0
"""
PROJECT = '''"""How loaded is a pump?"""
from datetime import timedelta

import pyarrow as pa

from esteira import Project, TableSource
from esteira.data import InRange
from esteira.features import Count, FeatureView, Sum, Window

TIME = pa.timestamp("us", tz="UTC")
HOUR = timedelta(hours=1)

readings = TableSource(
    "readings",
    schema=pa.schema({"pump": pa.string(), "event_ts": TIME, "load": pa.float64(), "drops": pa.int64()}),
    checks=(InRange("load", 0, 10),),
)
project = Project(
    "pumps",
    steps=[],
    tables=[readings],
    views=[
        FeatureView("pump", ("pump",), ("load", "drops"), "readings"),
        FeatureView(
            "pump_day",
            ("pump",),
            ("readings", "drops"),
            "readings",
            window=Window(
                ("pump",), "event_ts", 24 * HOUR, HOUR, {"readings": Count(), "drops": Sum("drops")}
            ),
        ),
    ],
)
'''


def lay_pumps(folder: Path, settings: str = SETTINGS, project: str = PROJECT) -> Path:
    """The project folder, in which nothing has happened."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "esteira.toml").write_text(settings, encoding="utf-8")
    (folder / "project.py").write_text(project, encoding="utf-8")
    return folder


def reading(pump: str, at: datetime, load: float | None, drops: int = 1) -> dict[str, Any]:
    """One row."""
    return {"pump": pump, "event_ts": at, "load": load, "drops": drops}


def keep(station: Station, *pushes: tuple[str, pa.Table], table: str = "readings") -> None:
    """What a gateway worker leaves behind that was told to end."""
    log = PushLog(station.settings.store("predictions"), "w0")
    for token, rows in pushes:
        log.keep(table, Push(token, rows))
    log.close()


def send(url: str, body: object = None) -> tuple[int, Any]:
    """Ask a gateway: the status and the answer; a body is posted."""
    data = None if body is None else json.dumps(body, default=lambda moment: moment.isoformat()).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def offline(station: Station, spine: pa.Table) -> pa.Table:
    """What the point-in-time join finds in the table for a spine of `pump` and `at`."""
    rows = station.tables.read("readings")
    return point_in_time_join(spine, [bind(view, rows) for view in station.project.views], at="at")
