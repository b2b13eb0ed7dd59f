from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import DAY, LIVE, answer, esteira

from esteira.base.records import AlertState
from esteira.project.overview import champion_since, overview, table_states, traffic
from esteira.project.release import deploy
from esteira.project.rollouts.rolling import start_rollout
from esteira.project.station import Station, open_station

if TYPE_CHECKING:
    from pathlib import Path


def test_where_nothing_has_happened_everything_is_none_or_zero(fresh: Path) -> None:
    seen = overview(open_station(fresh))
    assert (seen.project, seen.now) == ("pump", LIVE)
    assert (seen.tables, seen.alerts) == ((), ())
    assert (seen.last_run, seen.routes, seen.champion, seen.rollout, seen.performance) == (None,) * 5
    assert (seen.predictions, seen.labels, seen.audit_records) == (0, 0, 0)


def test_a_deployed_model_is_seen_with_its_tables_and_its_run(station: Station) -> None:
    seen = overview(station)
    assert seen.champion == 1
    assert seen.last_run == station.journal.runs()[-1]
    assert {state.version.table: state.quarantined > 0 for state in seen.tables} == {
        "events": True,
        "measurements": False,
    }
    assert seen.audit_records == station.audit.verify().records


def test_a_rollout_under_way_is_seen_with_its_split(two: Station) -> None:
    start_rollout(two, 2, "by hand")
    seen = overview(two)
    assert seen.rollout == two.rollouts.active("pump")
    assert seen.routes is not None
    assert [arm.share for arm in seen.routes.arms] == [0.75, 0.25]


def test_answers_are_counted_by_day_and_version(station: Station) -> None:
    assert traffic(station) == []
    answer(station, 3)
    found = traffic(station)
    assert [(each.day, each.answers) for each in found] == [(LIVE + n * DAY, {1: 96}) for n in range(3)]
    assert traffic(station, days=1) == found[2:]
    assert traffic(station, days=0) == []
    assert overview(station).predictions == 3 * 96


def test_the_champion_is_so_since_its_promotion(two: Station) -> None:
    assert champion_since(two) == LIVE
    two.clock.set(LIVE + DAY)
    deploy(two, 2, "a try")
    assert champion_since(two) == LIVE + DAY


def test_without_a_champion_there_is_no_since(fresh: Path) -> None:
    assert champion_since(open_station(fresh)) is None


def test_quiet_alerts_are_not_shown(station: Station) -> None:
    station.alerts.observe("drift", "load", value=0, enter=1, exit=1, now=LIVE)
    station.alerts.observe("drift", "heat", value=2, enter=1, exit=1, now=LIVE)
    assert [(a.subject, a.state) for a in overview(station).alerts] == [("heat", AlertState.PENDING)]


def test_table_states_leave_quarantine_tables_to_their_tables(station: Station) -> None:
    assert [state.version.table for state in table_states(station)] == ["events", "measurements"]


@pytest.mark.slow
def test_after_days_of_traffic_the_command_tells_how_it_stands(
    played: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, _ = esteira("status", "-C", str(played.settings.root), capsys=capsys)
    assert code == 0
    assert "version 3 100%" in said
    assert "1,440" in said
    found = traffic(played)
    assert sum(count for each in found for count in each.answers.values()) == 15 * 96
    assert any(len(each.answers) == 2 for each in found)  # a day of both
    seen = overview(played)
    assert seen.performance is not None
    assert seen.performance.verdict in {"ok", "worse"}
