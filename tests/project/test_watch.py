from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pytest
from tests.project.worlds import DAY, HOUR, LIVE, answer

from esteira.base.records import AlertState
from esteira.project.definition import drift, performance
from esteira.project.observations import Observations
from esteira.project.watch import LABEL_LAG, predictions, reference_of, watch

if TYPE_CHECKING:
    from esteira.base.records import Alert
    from esteira.project.station import Station

TWO_DAYS = timedelta(days=2)


def watching(station: Station, *monitors: object) -> None:
    station.__dict__["project"] = replace(station.project, monitors=monitors)


def changes(seen: list[tuple[Alert, str]]) -> list[str]:
    return [f"{change} {alert.monitor} {alert.subject}" for alert, change in seen if change]


def test_before_the_first_prediction_there_is_nothing_to_judge(station: Station) -> None:
    assert watch(station, LIVE + 30 * DAY) == []


def test_a_window_waits_a_day_for_its_labels(station: Station) -> None:
    answer(station, 3)
    assert watch(station, LIVE + TWO_DAYS + LABEL_LAG - HOUR) == []
    assert {alert.monitor for alert, _ in watch(station, LIVE + TWO_DAYS + LABEL_LAG)} == {
        "drift",
        "performance",
    }
    assert watch(station, LIVE + TWO_DAYS + LABEL_LAG) == []  # judged once


def test_windows_count_from_the_day_of_the_first_prediction(station: Station) -> None:
    station.clock.set(LIVE + 5 * HOUR)
    answer(station, 3)
    watch(station, station.clock.now())
    (seen,) = Observations(station.state).of("performance")
    assert (seen.start, seen.end) == (LIVE, LIVE + TWO_DAYS)


def test_a_steady_model_alarms_nobody(station: Station) -> None:
    answer(station, 1)
    watching(station, performance("roc_auc", window=DAY, tolerance=0.1, minimum=50))
    ((alert, change),) = watch(station, LIVE + 2 * DAY)
    assert (alert.state, change) == (AlertState.OK, "")
    (seen,) = Observations(station.state).of("performance", "roc_auc")
    assert seen.verdict == "ok"
    assert seen.version == 1
    assert seen.threshold == pytest.approx(station.version(1).metrics["roc_auc"] - 0.1)


def test_after_the_change_both_monitors_alarm_once(station: Station) -> None:
    answer(station, 8)
    now = LIVE + 9 * DAY
    seen = watch(station, now)  # four windows at once, as after a weekend without the ring
    assert changes(seen) == ["alarm drift firmware", "alarm performance roc_auc"]
    assert changes(watch(station, now)) == []
    assert {(a.monitor, a.subject) for a in station.alerts.alerts() if a.state is AlertState.FIRING} == {
        ("drift", "firmware"),
        ("performance", "roc_auc"),
    }


def test_an_alarm_is_dated_when_its_window_could_be_judged(station: Station) -> None:
    answer(station, 8)
    watch(station, LIVE + 20 * DAY)
    alert = next(a for a in station.alerts.alerts() if a.state is AlertState.FIRING)
    assert alert.since == LIVE + 7 * DAY  # the second bad window ended on the sixth day


def test_every_metric_is_watched_on_its_own(station: Station) -> None:
    watching(station, performance("roc_auc", window=DAY), performance("log_loss", window=2 * DAY))
    answer(station, 4)
    watch(station, LIVE + 5 * DAY)
    kept = Observations(station.state)
    assert len(kept.of("performance", "roc_auc")) == 4
    assert len(kept.of("performance", "log_loss")) == 2


def test_too_few_rows_are_an_answer(station: Station) -> None:
    watching(station, performance("roc_auc", window=DAY, minimum=500), drift(window=DAY, minimum=500))
    answer(station, 1)
    seen = watch(station, LIVE + 2 * DAY)
    assert changes(seen) == []
    verdicts = {o.verdict for kind in ("performance", "drift") for o in Observations(station.state).of(kind)}
    assert verdicts == {"not enough data"}


def test_a_kill_between_the_alert_and_the_record_of_its_window_loses_nothing(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching(station, performance("roc_auc", window=DAY, tolerance=0.1, minimum=50))
    answer(station, 5)
    watch(station, LIVE + 4 * DAY)  # the first bad day is pending
    with monkeypatch.context() as patch:
        patch.setattr(Observations, "keep", _killed)
        with pytest.raises(KeyboardInterrupt):
            watch(station, LIVE + 5 * DAY)
    watch(station, LIVE + 5 * DAY)
    assert len(Observations(station.state).of("performance")) == 4
    assert [each.state for each in station.alerts.history()] == [AlertState.PENDING, AlertState.FIRING]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_predictions_come_with_the_labels_that_have_come(station: Station) -> None:
    asked = answer(station, 1)
    rows = predictions(station, LIVE, LIVE + DAY)
    assert rows.num_rows == asked
    assert 0 < pc.sum(pc.is_valid(rows["label"])).as_py() < asked
    assert predictions(station, LIVE, LIVE + 12 * HOUR).num_rows == asked // 2


def test_without_tables_there_are_no_predictions(station: Station) -> None:
    rows = predictions(station, LIVE, LIVE + DAY)
    assert (rows.num_rows, "label" in rows.column_names) == (0, True)


def test_the_reference_is_of_the_training_rows(station: Station) -> None:
    reference = reference_of(station, station.version(1))
    assert [each.column for each in reference.bins] == [
        "load",
        "firmware",
        "climate__heat",
        "pump_day__runs",
        "pump_day__fail_share",
    ]
    assert reference.days == 12
