"""Rows that are pushed over HTTP: durable when accepted, then in their table and online, once."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.project.pushing import MINUTE, NOON, keep, lay_pumps, offline, reading, send
from tests.project.worlds import killed

from esteira.base.errors import BadInput, ServiceUnreachable, UnknownName
from esteira.base.sqlite import Database
from esteira.data.tables.schema import SchemaChanged
from esteira.features.stores.port import ViewChanged
from esteira.monitoring.push_log import pushes_seen
from esteira.project.feed import OnlineFeed
from esteira.project.ingesting import ingest_new, newest_published
from esteira.project.pushes import REMEMBERED, RETRY_S, PushWatch, publish_pushes, take_pushes
from esteira.project.station import Station, open_station
from esteira.serving.process import GatewayProcess
from esteira.serving.pushes import PushTables

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.data.ingestion import Ingested

SCHEMA = pa.schema(
    {"pump": pa.string(), "event_ts": pa.timestamp("us", "UTC"), "load": pa.float64(), "drops": pa.int64()}
)
pytestmark = pytest.mark.usefixtures("any_state")


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return open_station(lay_pumps(tmp_path / "pumps"))


def rows(*readings: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([*readings], SCHEMA)


def some(number: int) -> pa.Table:
    """Rows of one push: a load for each of three pumps."""
    return rows(*(reading(f"p{pump}", NOON - pump * MINUTE, number % 10, number) for pump in range(3)))


def take(station: Station) -> list[Ingested]:
    (source,) = station.project.tables
    return take_pushes(station, source)


def declare(station: Station, **changes: Any) -> None:
    """Another table or other views than the project file's."""
    project = station.project
    views = changes.pop("views", project.views)
    tables = (replace(project.tables[0], **changes),)
    station.__dict__["project"] = replace(project, tables=tables, views=views)


def drops(station: Station, table: str = "readings") -> list[int]:
    return [int(each) for each in station.tables.read(table)["drops"].to_pylist()]


# into the table and online


def test_what_was_pushed_is_in_its_table_and_online(station: Station) -> None:
    keep(station, ("a", some(1)), ("b", rows(reading("p0", NOON, 2.5, 7))))
    (taken,) = take(station)
    assert (taken.accepted, taken.quarantined) == (4, 0)
    assert station.tables.read("readings").equals(
        pa.concat_tables([some(1), rows(reading("p0", NOON, 2.5, 7))])
    )
    assert station.online.read("pump", ("p0",)).values == (2.5, 7.0)
    assert station.online.read("pump", ("p2",)).values == (1.0, 1.0)
    assert pushes_seen(station.settings.store("predictions"), "readings") == {}
    assert take(station) == []


def test_a_table_that_is_filled_by_pushes_is_there_from_the_first_ingest_on(station: Station) -> None:
    assert ingest_new(station, NOON) == {}
    assert station.tables.read("readings").equals(SCHEMA.empty_table())
    assert newest_published(station) is None
    assert ingest_new(station, NOON) == {}
    assert station.tables.version("readings").version == 0
    OnlineFeed(station.project.views, station.online, station.ledger).catch_up(station.tables, NOON)


def test_ingesting_takes_what_was_pushed(station: Station) -> None:
    keep(station, ("a", some(1)))
    assert ingest_new(station, NOON)["readings"].accepted == 3
    assert newest_published(station) == NOON


def test_windows_of_pushed_rows_come_with_the_next_round(station: Station) -> None:
    feed = OnlineFeed(station.project.views, station.online, station.ledger)
    ingest_new(station, NOON)
    feed.catch_up(station.tables, NOON)
    keep(station, ("a", some(4)))
    take(station)
    station.clock.advance(timedelta(hours=1))
    now = station.clock.now()
    feed.follow(station.tables, now)
    spine = pa.table(
        {"pump": ["p0", "p1", "p2", "p3"], "at": pa.array([now] * 4, SCHEMA.field("event_ts").type)}
    )
    found = offline(station, spine)
    for pump, load, count in zip(
        *(found[n].to_pylist() for n in ("pump", "pump__load", "pump_day__readings")), strict=True
    ):
        for view, value in (("pump", load), ("pump_day", count)):
            stored = station.online.read(view, (pump,))
            assert (stored.values[0] if stored else None) == value


# what is refused


def test_rows_that_the_checks_refuse_go_to_quarantine(station: Station) -> None:
    keep(station, ("a", rows(reading("p0", NOON, 3, 1), reading("p0", NOON, 99, 2))))
    (taken,) = take(station)
    assert taken.reasons == {"load is outside 0 to 10": 1}
    assert (drops(station), drops(station, "readings_quarantine")) == ([1], [2])
    assert station.online.read("pump", ("p0",)).values == (3.0, 1.0)


def test_rows_that_a_view_cannot_use_are_set_aside_and_the_others_taken(station: Station) -> None:
    good = [reading(f"p{n}", NOON, 1, n) for n in range(20)]
    keep(station, ("a", rows(*good[:7], reading("p7", NOON, 1, 2**60 + 1), *good[7:15])))
    keep(station, ("b", rows(*good[15:], {"pump": "p9", "drops": 99})))
    taken = take(station)
    reasons = {reason: count for each in taken for reason, count in each.reasons.items()}
    assert reasons == {
        "view 'pump' cannot use it (WrongFeature)": 1,
        "view 'pump' cannot use it (NullTime)": 1,
        "view 'pump_day' cannot use it (NullTime)": 1,
    }
    assert drops(station) == [*range(20)]
    assert drops(station, "readings_quarantine") == [2**60 + 1, 99]


def test_a_schema_that_a_view_cannot_use_is_refused_before_anybody_pushes(station: Station) -> None:
    declare(station, schema=SCHEMA.remove(2))
    with pytest.raises(UnknownName, match="load"):
        publish_pushes(station)
    assert PushTables(station.settings.store("state")).all() == {}


def test_a_view_that_is_stored_otherwise_sets_no_row_aside(station: Station) -> None:
    keep(station, ("a", some(1)))
    take(station)
    keep(station, ("b", some(2)))
    before = station.project.views
    declare(station, views=tuple(replace(view, features=view.features[::-1]) for view in before))
    with pytest.raises(ViewChanged):
        take(station)
    declare(station, views=before)
    take(station)
    assert drops(station) == [1, 1, 1, 2, 2, 2]


# sent again, and killed


def test_a_push_that_is_sent_again_counts_once(station: Station) -> None:
    keep(station, ("a", some(1)), ("b", some(2)), ("a", some(1)))
    take(station)
    keep(station, ("b", some(2)), ("c", some(3)))
    take(station)
    assert drops(station) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    station.clock.advance(REMEMBERED + MINUTE)
    keep(station, ("a", some(1)), ("d", some(4)))
    take(station)
    keep(station, ("d", some(4)))
    take(station)
    assert drops(station)[9:] == [1, 1, 1, 4, 4, 4]


def test_a_store_that_is_down_keeps_no_row_out_of_the_table_nor_offline_for_ever(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> int:
        raise ServiceUnreachable("Redis", "here", "down")

    keep(station, ("a", some(1)))
    with monkeypatch.context() as patch:
        patch.setattr(station.online, "write_many", down)
        with pytest.raises(ServiceUnreachable):
            take(station)
    assert drops(station) == [1, 1, 1]
    take(station)
    assert drops(station) == [1, 1, 1]
    assert station.online.read("pump", ("p0",)).values == (1.0, 1.0)


SCRIPT = """
import importlib, os, signal, sys
from pathlib import Path
from esteira.data.tables.delta import DeltaTables
from esteira.features.stores.lmdb import LmdbStore
from esteira.governance.ledger import AuditLedger
from esteira.project.ingesting import ingest_new
from esteira.project.station import open_station

where, count = sys.argv[2], int(sys.argv[3])
station = open_station(Path(sys.argv[1]))
owner, name = {
    "transaction": (type(station.state), "transaction"),
    "append": (DeltaTables, "append"),
    "audit": (AuditLedger, "record"),
    "online": (LmdbStore, "write_many"),
    "remove": (importlib.import_module("esteira.monitoring.drain"), "remove_drained"),
}[where]
kept, calls = getattr(owner, name), [0]
def act(*arguments, **options):
    calls[0] += 1
    if calls[0] == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return kept(*arguments, **options)
setattr(owner, name, act)
ingest_new(station, station.clock.now())
"""


@pytest.mark.slow
def test_killed_at_any_point_each_row_comes_exactly_once(station: Station) -> None:
    points = [("transaction", n) for n in range(1, 7)]
    if isinstance(station.state, Database):  # the others are the same wherever the state is
        points += [("append", 1), ("append", 2), ("append", 3)]
        points += [("audit", 1), ("audit", 3), ("online", 1), ("remove", 1)]
    root, ends = station.settings.root, []
    for number, (where, count) in enumerate(points):
        bad = rows(reading("p0", NOON, 99, 1000 + number))
        keep(
            station,
            (f"t{number}", some(number)),
            (f"bad{number}", bad),
            (f"t{number // 2}", some(number // 2)),
        )
        ends.append(killed(SCRIPT, str(root), where, str(count)))
    assert ends.count(-9) >= len(points) - 3  # the last of a kind may not come so far
    assert killed(SCRIPT, str(root), "remove", "99") == 0
    assert sorted(drops(station)) == sorted([*range(len(points))] * 3)
    assert sorted(drops(station, "readings_quarantine")) == [1000 + n for n in range(len(points))]
    newest = station.tables.read("readings").filter(pa.compute.field("pump") == "p0")["drops"].to_pylist()[-1]
    assert station.online.read("pump", ("p0",)).values[1] == newest
    assert station.audit.verify().is_whole


# the schema over time


def test_columns_that_are_declared_later_are_null_in_what_was_pushed_before(station: Station) -> None:
    keep(station, ("a", some(1)))
    take(station)
    keep(station, ("b", some(2)))
    wider = SCHEMA.append(pa.field("heat", pa.float32()))
    declare(station, schema=wider)
    publish_pushes(station)
    assert station.tables.describe("readings").schema.names == wider.names
    keep(station, ("c", some(3).append_column("heat", pa.array([1, 2, 3], pa.float32()))))
    take(station)
    assert station.tables.read("readings")["heat"].to_pylist() == [None] * 6 + [1, 2, 3]


def test_a_schema_that_contradicts_the_table_is_refused_and_what_waits_is_kept(station: Station) -> None:
    ingest_new(station, NOON)
    keep(station, ("a", some(1)))
    before = station.project.tables[0].schema
    declare(station, schema=SCHEMA.set(3, pa.field("drops", pa.string())))
    with pytest.raises(SchemaChanged):
        publish_pushes(station)
    with pytest.raises(SchemaChanged):
        take(station)
    declare(station, schema=before)
    take(station)
    assert drops(station) == [1, 1, 1]


def test_a_table_that_takes_no_pushes_any_more_is_not_published(station: Station) -> None:
    published = PushTables(station.settings.store("state"))
    publish_pushes(station)
    (table,) = published.all().values()
    assert (table.schema, table.required, table.published) == (SCHEMA, ("event_ts",), "")
    declare(station, read=lambda *_: pa.table({}))
    publish_pushes(station)
    assert published.all() == {}


# while `esteira up` runs


def test_a_watch_takes_what_has_come_and_leaves_the_stores_alone_otherwise(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = PushWatch(station)
    watch.look()
    keep(station, ("a", some(1)))
    watch.look()
    assert drops(station) == [1, 1, 1]
    watch.look()  # the segments are gone by now
    monkeypatch.setattr(station.state, "ensure", lambda _: pytest.fail("it was looked up"))
    watch.look()


def test_pushes_that_cannot_be_taken_are_left_alone_for_a_while(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, before = PushWatch(station), station.project.tables[0].schema
    take(station)
    keep(station, ("a", some(1)))
    declare(station, schema=SCHEMA.set(3, pa.field("drops", pa.string())))
    failing = PushWatch(station)
    with pytest.raises(BadInput):
        failing.look()
    failing.look()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + RETRY_S + 1)
    with pytest.raises(BadInput):
        failing.look()
    declare(station, schema=before)
    watch.look()
    assert drops(station) == [1, 1, 1]


# end to end


@pytest.mark.slow
def test_a_row_that_is_pushed_over_http_is_read_back_and_equal_offline(station: Station) -> None:
    publish_pushes(station)
    watch = PushWatch(station)
    with GatewayProcess(station.settings.root) as gateway:
        assert send(f"{gateway.url}/features/pump?pump=p0")[0] == 404
        sent = [
            reading("p0", NOON - 2 * MINUTE, 1.5, 3),
            reading("p0", NOON - MINUTE, 2.5, 4),
            reading("p1", NOON, None),
        ]
        pushed = f"{gateway.url}/push/readings"
        for _ in range(2):  # the second time as if no answer had come
            assert send(pushed, {"rows": sent, "token": "a"}) == (202, {"accepted": 3, "token": "a"})
        status, answer = send(pushed, {"rows": [reading("p0", NOON, 1), {"pump": "p1", "lode": 1}]})
        assert (status, "rows[1]" in answer["error"]) == (400, True)
        watch.look()
        entities = [{"pump": "p0"}, {"pump": "p1"}, {"pump": "p2"}]
        status, online = send(f"{gateway.url}/features/pump", {"entities": entities})
    assert status == 200
    assert online["status"] == [["present", "present"], ["null", "present"], ["missing", "missing"]]
    assert station.tables.read("readings").to_pylist() == sent
    at = pa.array([NOON] * 3, SCHEMA.field("event_ts").type)
    found = offline(station, pa.table({"pump": ["p0", "p1", "p2"], "at": at}))
    assert [
        [*pair]
        for pair in zip(found["pump__load"].to_pylist(), found["pump__drops"].to_pylist(), strict=True)
    ] == online["values"]


@pytest.mark.slow
def test_what_a_gateway_accepted_survives_its_being_killed(station: Station) -> None:
    publish_pushes(station)
    gateway = GatewayProcess(station.settings.root).start()
    for number in range(5):
        assert send(f"{gateway.url}/push/readings", {"rows": [reading("p0", NOON, 1, number)]})[0] == 202
    gateway.kill()
    take(station)
    assert drops(station) == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_a_gateway_follows_which_tables_take_pushes(station: Station) -> None:
    with GatewayProcess(station.settings.root) as gateway:
        body = {"rows": [reading("p0", NOON, 1)]}
        assert send(f"{gateway.url}/push/readings", body)[0] == 404
        publish_pushes(station)
        until = time.monotonic() + 10
        while (status := send(f"{gateway.url}/push/readings", body)[0]) == 404:
            assert time.monotonic() < until
        assert status == 202
