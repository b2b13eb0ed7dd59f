from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.features.histories import World, events_of
from tests.features.redis_server import RedisServer
from tests.features.test_materialize import LATE, PLAIN
from tests.project.worlds import DAY, HOUR, LIVE, clock_of, rehearsal_of

from esteira.base.clock import EPOCH, from_micros, to_micros
from esteira.base.errors import ServiceUnreachable
from esteira.data.checks import validate
from esteira.features.ledger import FeatureLedger
from esteira.features.online import OnlineReader
from esteira.features.point_in_time import point_in_time_join
from esteira.features.stores import open_store
from esteira.project.feed import OnlineFeed
from esteira.project.ingesting import ingest_new
from esteira.project.materializing import materialize_all
from esteira.project.running import bind
from esteira.project.station import Station, open_station

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from esteira.project.definition import TableSource

COLUMNS = ("climate__heat", "pump_day__runs", "pump_day__fail_share")


@pytest.fixture
def feed(station: Station) -> OnlineFeed:
    return OnlineFeed(station.project.views, station.online, station.ledger)


def online(station: Station, now: datetime) -> list[dict[str, float | None]]:
    """What a request of each pump would read at a moment."""
    reader = OnlineReader(station.online, tuple(view.ref() for view in station.project.views))
    found = []
    for pump, site in pumps(station):
        asked: dict[str, Any] = {"pump": pump, "site": site}
        reader.fill(asked, to_micros(now))
        found.append({name: asked[name] for name in COLUMNS})
    return found


def offline(station: Station, now: datetime) -> list[dict[str, float | None]]:
    """What training would see for that moment, from all that was published until then."""
    known = {table.name: good(table, EPOCH, now) for table in station.project.tables}
    views = [bind(view, known[view.source]) for view in station.project.views]
    asked = pa.table(
        {
            "pump": [pump for pump, _ in pumps(station)],
            "site": [site for _, site in pumps(station)],
            "at": pa.array([now] * len(pumps(station)), pa.timestamp("us", tz="UTC")),
        }
    )
    rows: list[dict[str, float | None]] = (
        point_in_time_join(asked, views, at="at").select(COLUMNS).to_pylist()
    )
    return rows


def good(table: TableSource, since: datetime, until: datetime) -> pa.Table:
    return validate(table.read(since, until), table.checks, until).good


def pumps(station: Station) -> list[tuple[str, str]]:
    rows = rehearsal_of(station).questions()
    return sorted(set(zip(rows["pump"].to_pylist(), rows["site"].to_pylist(), strict=True)))


def test_after_catching_up_the_store_says_what_training_would(station: Station, feed: OnlineFeed) -> None:
    written = feed.catch_up(station.tables, LIVE - HOUR)
    assert written > 0
    assert online(station, LIVE - HOUR) == offline(station, LIVE - HOUR)


def test_hour_by_hour_it_stays_so(station: Station, feed: OnlineFeed) -> None:
    before = LIVE - HOUR
    feed.catch_up(station.tables, before)
    for hour in range(30):
        now = LIVE + hour * HOUR
        for table in station.project.tables:
            feed.push(table.name, good(table, now - HOUR, now))
        feed.advance(to_micros(now))
        if hour % 6 == 0:
            assert online(station, now) == offline(station, now)


def test_where_nothing_is_published_windows_still_move_on(station: Station, feed: OnlineFeed) -> None:
    feed.catch_up(station.tables, LIVE - HOUR)
    feed.advance(to_micros(LIVE + 2 * DAY))
    assert {row["pump_day__runs"] for row in online(station, LIVE + 2 * DAY)} == {0.0}


def test_catching_up_again_later_is_as_good_as_the_first_time(station: Station, feed: OnlineFeed) -> None:
    for now in (LIVE - HOUR, LIVE, LIVE + 5 * HOUR, LIVE + 5 * HOUR, LIVE + DAY):
        clock_of(station).set(max(now, LIVE))
        ingest_new(station, now)
        feed.catch_up(station.tables, now)
        assert online(station, now) == offline(station, now)
    feed.advance(to_micros(LIVE + DAY + HOUR))  # and it goes on from there


def test_following_sees_rows_whoever_brought_them_and_moves_windows_when_none_came(
    station: Station, feed: OnlineFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.follow(station.tables, LIVE - HOUR)
    assert online(station, LIVE - HOUR) == offline(station, LIVE - HOUR)
    clock_of(station).set(LIVE + HOUR)
    ingest_new(open_station(station.settings.root), LIVE + HOUR)  # as `esteira run` beside `esteira up`
    feed.follow(station.tables, LIVE + HOUR)
    assert online(station, LIVE + HOUR) == offline(station, LIVE + HOUR)
    monkeypatch.setattr(feed, "catch_up", None)  # nothing came: the tables are not read again
    feed.follow(station.tables, LIVE + 2 * DAY)
    assert {row["pump_day__runs"] for row in online(station, LIVE + 2 * DAY)} == {0.0}


def test_catching_up_reads_only_what_came_since_whoever_asked(
    station: Station, feed: OnlineFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.catch_up(station.tables, LIVE - HOUR)
    clock_of(station).set(LIVE + HOUR)
    ingest_new(station, LIVE + HOUR)
    monkeypatch.setattr(station.tables, "read", None)  # whole tables are not asked for
    old = station.tables.version("measurements", 0).rows
    scan, seen = station.tables.scan, []

    def watched(name: str, **asked: Any) -> Any:
        for batch in scan(name, **asked):
            seen.extend(batch["_seq"].to_pylist() if name == "measurements" else [])
            yield batch

    monkeypatch.setattr(station.tables, "scan", watched)
    another = OnlineFeed(station.project.views, station.online, station.ledger)  # as after a restart
    another.catch_up(station.tables, LIVE + HOUR)
    assert seen
    assert min(seen) >= old
    another.advance(to_micros(LIVE + HOUR))
    assert online(station, LIVE + HOUR) == offline(station, LIVE + HOUR)


def test_a_store_that_was_down_is_caught_up_when_it_is_back(
    station: Station, feed: OnlineFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> int:
        raise ServiceUnreachable("Redis", "here", "down")

    with monkeypatch.context() as patch:
        patch.setattr(station.online, "write", down)
        with pytest.raises(ServiceUnreachable):
            feed.follow(station.tables, LIVE - HOUR)
    feed.follow(station.tables, LIVE - HOUR)
    assert online(station, LIVE - HOUR) == offline(station, LIVE - HOUR)


@pytest.mark.slow
def test_a_server_that_began_anew_is_filled_again(station: Station, tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    try:
        store = open_store(server.address)
        ledger = FeatureLedger(f"sqlite:{tmp_path}/features.db", station.clock)
        feed = OnlineFeed(station.project.views, store, ledger)
        feed.catch_up(station.tables, station.clock.now())
        before = store.views()
        server.kill()
        server.start()
        assert store.views() == {}
        feed.follow(station.tables, station.clock.now())
        assert store.views() == before
        store.close()
    finally:
        server.kill()


def test_what_was_pushed_and_then_ingested_is_the_same_row(station: Station, feed: OnlineFeed) -> None:
    feed.catch_up(station.tables, LIVE - HOUR)
    for hour in range(6):
        now = LIVE + hour * HOUR
        for table in station.project.tables:
            feed.push(table.name, good(table, now - HOUR, now))
        feed.advance(to_micros(now))
    clock_of(station).set(LIVE + 5 * HOUR)
    ingest_new(station, LIVE + 5 * HOUR)
    (climate,) = materialize_all(station, names=["climate"])
    assert climate.rows == 0  # all of it was there already, under the same places in the table
    feed.catch_up(station.tables, LIVE + 5 * HOUR)
    assert online(station, LIVE + 5 * HOUR) == offline(station, LIVE + 5 * HOUR)


def test_of_equal_rows_the_later_is_the_truth_whether_it_was_pushed_or_ingested(tmp_path: Path) -> None:
    world = World(tmp_path)
    feed = OnlineFeed((PLAIN,), world.store, world.ledger)
    first, second, third = (events_of([("a", 5, 5, x)]) for x in range(3))
    feed.push("t", first)
    world.tables.append("t", first)
    feed.catch_up(world.tables, from_micros(9))
    feed.push("t", second)
    feed.advance(9)
    assert world.store.read("plain", ("a",)).values == (1.0,)
    world.tables.append("t", second)
    world.tables.append("t", third)
    feed.catch_up(world.tables, from_micros(9))
    assert world.online(PLAIN, 9) == world.offline(PLAIN, 9)


def test_a_window_of_all_that_was_pushed_replaces_one_of_what_was_ingested_by_then(tmp_path: Path) -> None:
    world = World(tmp_path)
    feed = OnlineFeed((LATE,), world.store, world.ledger)
    first, second = events_of([("a", 1, 1, 1)]), events_of([("a", 2, 2, 2)])
    feed.push("t", first)
    feed.push("t", second)
    world.tables.append("t", first)
    world.materialize(LATE, 4)
    feed.advance(4)
    world.tables.append("t", second)
    assert world.online(LATE, 4) == world.offline(LATE, 4)


def test_a_table_that_is_not_there_yet_has_nothing_to_bring(fresh: Path) -> None:
    station = open_station(fresh)
    assert (
        OnlineFeed(station.project.views, station.online, station.ledger).catch_up(station.tables, LIVE) == 0
    )
