"""The ledger says no more than is so, in one line a view, on every database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.base.databases.postgres_server import PostgresServer

from esteira.base.clock import SimulatedClock
from esteira.base.errors import BadInput, NaiveTime, ServiceUnreachable
from esteira.features.ledger import KEPT_RUNS, DefinitionChanged, Entry, FeatureLedger, FutureEnd, Run
from esteira.features.views import FeatureView

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2013, 1, 1, tzinfo=UTC)
VIEW = FeatureView("weather", ("origin",), ("visib",), "weather", ttl=timedelta(hours=3))
RUN = Run(since=-1, version=3, until_before=-(2**63), until=9, began=5, part=1, position=2, rows=4, due=11)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/features.db"
    found: str = request.getfixturevalue("server").url
    ledger = FeatureLedger(found)
    for table in ("feature_views", "feature_runs"):
        with ledger._database.transaction() as writer:
            writer.execute(f"DELETE FROM {table}")
    return found


def ledger_at(url: str, now: datetime = NOW) -> FeatureLedger:
    return FeatureLedger(url, SimulatedClock(start=now))


def test_a_view_that_was_never_seen_is_new(url: str) -> None:
    entry = ledger_at(url).entry(VIEW)
    assert (entry.view, entry.source, entry.version, entry.status) == ("weather", "weather", -1, "new")
    assert ledger_at(url).entries() == []


def test_what_was_kept_is_there_for_the_next_process(url: str) -> None:
    entry = ledger_at(url).entry(VIEW)
    begun = replace(entry, run=RUN)
    ledger_at(url).keep(begun)
    assert ledger_at(url).entry(VIEW) == begun
    assert begun.status == "running"
    done = replace(entry, version=3, until=9, due=11, rows=4)
    ledger_at(url).finish(done, RUN)
    assert ledger_at(url).entries() == [done]
    assert done.status == "done"
    assert ledger_at(url).runs("weather") == [(RUN, NOW)]


def test_the_ledger_does_not_grow_with_runs(url: str) -> None:
    ledger = ledger_at(url)
    entry = ledger.entry(VIEW)
    for number in range(KEPT_RUNS + 20):
        ledger.finish(replace(entry, version=number), run_to(number))
    assert [each.version for each in ledger.entries()] == [KEPT_RUNS + 19]
    kept = [run.version for run, _ in ledger.runs("weather")]
    assert kept == list(range(20, KEPT_RUNS + 20))


def run_to(number: int) -> Run:
    return Run(since=number - 1, version=number, until_before=0, until=9, began=5)


def test_versions_of_a_view_have_lines_of_their_own(url: str) -> None:
    ledger, second = ledger_at(url), replace(VIEW, version=2)
    ledger.keep(replace(ledger.entry(VIEW), version=7))
    assert ledger.entry(second).version == -1
    ledger.keep(replace(ledger.entry(second), version=1))
    assert [(each.view, each.version) for each in ledger.entries()] == [("weather", 7), ("weather_v2", 1)]


@pytest.mark.parametrize("change", [{"source": "other"}, {"features": ("temp",)}, {"ttl": None}])
def test_another_definition_under_the_same_version_is_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    ledger = ledger_at(f"sqlite:{tmp_path}/features.db")
    ledger.keep(ledger.entry(VIEW))
    changed = replace(VIEW, **change)
    with pytest.raises(DefinitionChanged, match=r"'weather' .* raise the view's version") as refused:
        ledger.entry(changed)
    assert refused.value.view == "weather"
    assert ledger.entry(replace(changed, version=2)).status == "new"
    assert ledger.entry(replace(VIEW, description="said better")).status == "new"


def test_an_end_is_a_moment_that_has_come(tmp_path: Path) -> None:
    ledger = ledger_at(f"sqlite:{tmp_path}/features.db")
    assert ledger.end_of(NOW) == ledger.clock.micros()
    with pytest.raises(FutureEnd, match=r"2013-01-01T00:00:01.* lies in the future") as future:
        ledger.end_of(NOW + timedelta(seconds=1))
    assert future.value.now == NOW
    with pytest.raises(NaiveTime, match="until"):
        ledger.end_of(NOW.replace(tzinfo=None))
    assert isinstance(future.value, BadInput)


@pytest.mark.slow
def test_a_ledger_whose_server_was_away_goes_on_when_it_is_back(server: PostgresServer) -> None:
    ledger = ledger_at(server.url)
    entry: Entry = replace(ledger.entry(replace(VIEW, name="away")), version=1)
    ledger.keep(entry)
    server.kill()
    with pytest.raises(ServiceUnreachable, match="PostgreSQL"):
        ledger.keep(replace(entry, version=2))
    server.start()
    assert ledger.entry(replace(VIEW, name="away")) == entry
