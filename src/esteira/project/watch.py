"""Judge the windows that have closed: performance on labels, drift of inputs, and what alarms."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from esteira.base.clock import from_micros
from esteira.base.records import AlertState, Artifact
from esteira.monitoring.drift import DriftReference, judge
from esteira.monitoring.labels import join_labels
from esteira.monitoring.performance import measure
from esteira.monitoring.prediction_log import labels_table, predictions_table, vectors_of
from esteira.project.definition import DriftMonitor, PerformanceMonitor
from esteira.project.observations import Observation, Observations
from esteira.project.release import champion_of, load_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import pyarrow as pa

    from esteira.base.records import Alert, ModelVersion
    from esteira.project.station import Station
    from esteira.registry.signature import Signature

REFERENCE = "esteira.reference"  # the tag of a version that names the distribution it was trained on
_ALARMING = frozenset({AlertState.FIRING, AlertState.RESOLVING})
LABEL_LAG = timedelta(days=1)  # a window is judged a day after it ends, so that its labels have come


def watch(station: Station, now: datetime) -> list[tuple[Alert, str]]:
    """Judge every window that closed since the last time.

    Gives each alert that was observed with its change: "alarm", "cleared" or none.
    """
    champion = champion_of(station)
    if champion is None or "predictions" not in station.tables.names():
        return []
    states = {(a.monitor, a.subject): a.state for a in station.alerts.alerts()}
    seen: list[tuple[Alert, str]] = []
    for monitor in station.project.monitors:
        for window in _closed(station, monitor, now):
            rows = predictions(station, *window)
            if isinstance(monitor, PerformanceMonitor):
                alerts = _performance(station, monitor, champion, rows, window)
            else:
                alerts = _drift(station, monitor, champion, rows, window)
            for alert in alerts:
                subject = (alert.monitor, alert.subject)
                seen.append((alert, _change(states.get(subject), alert)))
                states[subject] = alert.state
    return seen


def _change(before: AlertState | None, alert: Alert) -> str:
    is_alarm = alert.state in _ALARMING
    was_alarm = before in _ALARMING
    if is_alarm == was_alarm:
        return ""
    return "alarm" if is_alarm else "cleared"


def _closed(
    station: Station, monitor: DriftMonitor | PerformanceMonitor, now: datetime
) -> list[tuple[datetime, datetime]]:
    """Windows that ended at least the label lag ago and that this monitor has not judged yet."""
    kept = Observations(station.state)
    if isinstance(monitor, PerformanceMonitor):
        ended = kept.last_end("performance", monitor.metric)
    else:
        ended = kept.last_end("drift")
    ended = ended or _first_prediction(station)
    windows = []
    while ended is not None and ended + monitor.window + LABEL_LAG <= now:
        windows.append((ended, ended + monitor.window))
        ended += monitor.window
    return windows


def _first_prediction(station: Station) -> datetime | None:
    at = station.tables.read("predictions", columns=["at"])["at"]
    if not len(at):
        return None
    first = int(pc.min(at.cast("int64")).as_py())
    day = 86_400_000_000
    return from_micros(first // day * day)


def predictions(
    station: Station, start: datetime, end: datetime, columns: Sequence[str] | None = None
) -> pa.Table:
    """Predictions made in [start, end), with their labels as far as they have come.

    `columns` are those of the predictions that are wanted, `id` among them; all when None.
    """
    known, asked, labels = station.tables.names(), predictions_table(()), labels_table(())
    if "predictions" in known:
        when = [("at", ">=", start), ("at", "<", end)]
        asked = station.tables.read("predictions", columns=columns, where=when)
    if "labels" in known:
        labels = station.tables.read("labels", where=[("ingested_at", ">=", start)])
    return join_labels(asked, labels)


def _performance(
    station: Station,
    monitor: PerformanceMonitor,
    champion: ModelVersion,
    rows: pa.Table,
    window: tuple[datetime, datetime],
) -> list[Alert]:
    baseline = champion.metrics.get(monitor.metric)
    if baseline is None:
        return []
    found = measure(
        rows,
        metric=monitor.metric,
        start=window[0],
        end=window[1],
        baseline=baseline,
        tolerance=monitor.tolerance,
        minimum=monitor.minimum,
    )
    interval = "" if found.value is None else f" {found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
    alert = station.alerts.observe(
        "performance", monitor.metric, value=found.excess, enter=0.0, exit=0.0, now=_judged_at(window),
        message=f"{monitor.metric}{interval}, the limit is {found.limit:.3f}",
        enough=found.verdict != "not enough data",
    )  # fmt: skip
    Observations(station.state).keep(
        [
            Observation(
                "performance", monitor.metric, window[0], window[1], champion.version, found.value, found.low,
                found.high, found.limit, found.rows, found.labelled, found.verdict,
            )
        ]
    )  # fmt: skip
    return [alert]


def _judged_at(window: tuple[datetime, datetime]) -> datetime:
    """When a window could be judged: the same however often a killed look is repeated, and before the next.

    The alert is observed before the window is kept as judged, so that a kill between the two loses nothing.
    """
    return window[1] + LABEL_LAG


def reference_of(station: Station, version: ModelVersion) -> DriftReference:
    """The distribution of what a version was trained on."""
    kept: Any = station.artifacts.get(Artifact(version.tags[REFERENCE], "json", 0))
    return DriftReference.from_plain(kept)


def _drift(
    station: Station,
    monitor: DriftMonitor,
    champion: ModelVersion,
    rows: pa.Table,
    window: tuple[datetime, datetime],
) -> list[Alert]:
    if REFERENCE not in champion.tags:  # it came from elsewhere, and what it was trained on did not
        return []
    signature: Signature = load_model(station, champion).signature
    mine = rows.filter(pc.equal(rows["version"], champion.version))
    found = judge(
        reference_of(station, champion),
        vectors_of(mine, len(signature.columns)),
        false_alarms=monitor.false_alarms,
        per=monitor.per,
        window=monitor.window,
        minimum=monitor.minimum,
    )
    alerts = [
        station.alerts.observe(
            "drift", c.column, value=c.psi, enter=c.threshold, exit=0.8 * c.threshold, now=_judged_at(window),
            message=f"{c.column} with PSI {c.psi:.3f}, threshold {c.threshold:.3f}",
            enough=c.verdict != "not enough data",
        )
        for c in found
    ]  # fmt: skip
    verdicts = [
        Observation(
            "drift", c.column, window[0], window[1], champion.version, c.psi, None, None, c.threshold,
            mine.num_rows, 0, c.verdict,
        )
        for c in found
    ]  # fmt: skip
    Observations(station.state).keep(verdicts)
    return alerts
