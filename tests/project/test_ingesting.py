from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.project.worlds import DAY, LIVE, killed

from esteira.base.clock import EPOCH
from esteira.base.errors import BadInput, EsteiraError
from esteira.data.checks import BatchRefused, Fresh
from esteira.data.ingestion import ingest
from esteira.data.sources.files import FileSource
from esteira.data.tables.schema import SchemaChanged
from esteira.project import ingesting
from esteira.project.ingesting import SourceFailed, ingest_new, newest_published, read_source
from esteira.project.materializing import materialize_all
from esteira.project.station import Station, open_station

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    Read = Callable[[datetime, datetime], pa.Table]

UNTIL = LIVE - 16 * DAY
pytestmark = pytest.mark.usefixtures("any_state")


@pytest.fixture
def empty(fresh: Path) -> Station:
    return open_station(fresh)


def reading(station: Station, read: Read, **changes: object) -> None:
    """The events come from another place."""
    events, measurements = station.project.tables
    tables = (replace(events, read=read, **changes), measurements)
    station.__dict__["project"] = replace(station.project, tables=tables)


def held(station: Station, until: datetime = UNTIL) -> None:
    """Every row that was published is there once, the good ones and those set aside."""
    published = station.project.tables[0].read(EPOCH, until)["event_id"].to_pylist()
    good = station.tables.read("events")["event_id"].to_pylist()
    aside = station.tables.read("events_quarantine")["event_id"].to_pylist()
    assert sorted(good + aside) == sorted(published)
    assert len(aside) > 0
    heat = station.tables.read("measurements")
    assert heat.num_rows == station.project.tables[1].read(EPOCH, until).num_rows


def test_what_was_published_comes_once(empty: Station) -> None:
    came = ingest_new(empty, UNTIL)
    assert set(came) == {"events", "measurements"}
    assert came["events"].quarantined == sum(came["events"].reasons.values())
    held(empty)
    assert ingest_new(empty, UNTIL) == {}
    held(empty)


def test_day_by_day_gives_the_same_rows_as_at_once(empty: Station) -> None:
    at = UNTIL - 3 * DAY
    while at <= UNTIL:
        ingest_new(empty, at)
        at += timedelta(hours=12)
    held(empty)
    assert empty.tables.version("events").version == 6


def test_a_run_stands_for_the_end_of_the_newest_range_with_rows(empty: Station) -> None:
    assert newest_published(empty) is None
    ingest_new(empty, UNTIL)
    assert newest_published(empty) == UNTIL
    ingest_new(empty, UNTIL + timedelta(minutes=1))  # nothing was published in that minute
    assert newest_published(empty) == UNTIL


def test_an_append_is_audited_before_and_after(empty: Station) -> None:
    ingest_new(empty, UNTIL)
    events = [f"{event.action} {event.resource}" for event in empty.audit.events()]
    assert events[:2] == ["data.append events", "data.appended events@0"]


# interrupted


def test_a_range_that_was_cut_off_is_finished_before_a_new_one(
    empty: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cut in (UNTIL - 2 * DAY, UNTIL - DAY):  # killed twice in a row
        with monkeypatch.context() as patch:
            patch.setattr(ingesting, "ingest", _killed)
            with pytest.raises(KeyboardInterrupt):
                ingest_new(empty, cut)
    came = ingest_new(empty, UNTIL)
    held(empty)
    assert empty.tables.version("events").version == 1  # two ranges, two appends
    assert came["events"].accepted == empty.tables.version("events").rows
    assert came["events"].quarantined == empty.tables.version("events_quarantine").rows


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


SCRIPT = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from esteira.base.clock import parse_time
from esteira.data.tables.delta import DeltaTables
from esteira.governance.ledger import AuditLedger
from esteira.project import ingesting
from esteira.project.station import open_station

where, count = sys.argv[2], int(sys.argv[3])

def die_at(owner, name, *, after):
    kept, calls = getattr(owner, name), [0]
    def act(*arguments, **options):
        calls[0] += 1
        if calls[0] == count and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        done = kept(*arguments, **options)
        if calls[0] == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    setattr(owner, name, act)

station = open_station(Path(sys.argv[1]))
if where == "audited":
    die_at(AuditLedger, "record", after=True)
if where == "appended":
    die_at(DeltaTables, "append", after=True)
if where == "booked":
    die_at(type(station.state), "transaction", after=False)
until = parse_time(sys.argv[4])
for hours in (48, 36, 24, 12, 0):
    ingesting.ingest_new(station, until - timedelta(hours=hours))
"""


@pytest.mark.slow
def test_killed_at_any_point_each_row_comes_exactly_once(fresh: Path) -> None:
    for where, count in (("appended", 1), ("audited", 4), ("appended", 2), ("booked", 9), ("appended", 3)):
        assert killed(SCRIPT, str(fresh), where, str(count), UNTIL.isoformat()) == -9, (where, count)
    station = open_station(fresh)
    ingest_new(station, UNTIL)
    held(station)
    assert station.audit.verify().is_whole


# sources that fail


def test_a_source_that_raises_is_named_and_nothing_is_written(empty: Station) -> None:
    def broken(since: datetime, until: datetime) -> pa.Table:
        raise OSError("the feed is down")

    reading(empty, broken)
    with pytest.raises(SourceFailed, match=r"source 'events' could not be read: OSError: the feed is down"):
        ingest_new(empty, UNTIL)
    assert empty.tables.names() == []


def test_a_source_that_gives_no_table_is_refused(empty: Station) -> None:
    reading(empty, lambda since, until: [1, 2])
    with pytest.raises(SourceFailed, match=r"must give a pyarrow\.Table, found list"):
        ingest_new(empty, UNTIL)


def test_what_a_source_refuses_itself_is_passed_on(empty: Station) -> None:
    def refusing(since: datetime, until: datetime) -> pa.Table:
        raise BadInput("no such feed")

    reading(empty, refusing)
    with pytest.raises(BadInput, match="no such feed"):
        read_source(empty.project.tables[0], EPOCH, UNTIL)


def test_after_a_source_failed_its_rows_come_with_the_next_ones(empty: Station) -> None:
    read = empty.project.tables[0].read
    reading(empty, _raising(EsteiraError("down")))
    with pytest.raises(EsteiraError):
        ingest_new(empty, UNTIL - DAY)
    reading(empty, read)
    ingest_new(empty, UNTIL)
    held(empty)


def _raising(error: Exception) -> Read:
    def read(since: datetime, until: datetime) -> pa.Table:
        raise error

    return read


def test_a_refused_batch_is_read_again_together_with_what_came_since(empty: Station) -> None:
    read, fresh = empty.project.tables[0].read, Fresh("published_at", timedelta(hours=2))
    checks = (*empty.project.tables[0].checks, fresh)
    reading(empty, lambda since, until: read(since, until - DAY), checks=checks)  # the feed lags a day
    with pytest.raises(BatchRefused, match="published_at is"):
        ingest_new(empty, LIVE)
    assert empty.tables.names() == []
    reading(empty, read, checks=checks)
    ingest_new(empty, LIVE)
    held(empty, LIVE)


def test_a_range_of_which_rows_are_held_is_never_forgotten(
    empty: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*arguments: object, **options: object) -> None:
        ingest(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ingesting, "ingest", cut_off)
        with pytest.raises(KeyboardInterrupt):
            ingest_new(empty, UNTIL - DAY)
    read = empty.project.tables[0].read
    reading(empty, lambda since, until: _with_reason(read(since, until)))
    with pytest.raises(BatchRefused, match="_reason"):
        ingest_new(empty, UNTIL)
    reading(empty, read)
    ingest_new(empty, UNTIL)
    held(empty)


def _with_reason(rows: pa.Table) -> pa.Table:
    return rows.append_column("_reason", pa.nulls(rows.num_rows, pa.string()))


def test_a_changed_schema_is_named_and_nothing_is_written(empty: Station) -> None:
    ingest_new(empty, UNTIL - DAY)
    read = empty.project.tables[0].read
    reading(empty, lambda since, until: _spelt_out(read(since, until)))
    before = empty.tables.version("events")
    with pytest.raises(SchemaChanged, match="failed"):
        ingest_new(empty, UNTIL)
    assert empty.tables.version("events") == before
    reading(empty, read)
    ingest_new(empty, UNTIL)
    held(empty)


def _spelt_out(rows: pa.Table) -> pa.Table:
    words = pc.if_else(pc.equal(rows["failed"], 1), "yes", "no")
    return rows.set_column(rows.column_names.index("failed"), "failed", words)


# times of views


@pytest.mark.parametrize("column", ["happened_at", "published_at"])
def test_a_row_without_a_time_that_a_view_needs_is_set_aside(empty: Station, column: str) -> None:
    read, checks = empty.project.tables[0].read, empty.project.tables[0].checks
    window = replace(empty.project.views[1].window, created="published_at")
    views = (empty.project.views[0], replace(empty.project.views[1], window=window))
    empty.__dict__["project"] = replace(empty.project, views=views)
    reading(empty, lambda since, until: _without_first(read(since, until), column), checks=checks)
    came = ingest_new(empty, UNTIL)["events"]
    assert came.reasons[f"{column} is null"] == 1
    held(empty)
    assert materialize_all(empty, until=UNTIL)[1].rows > 0


def test_times_that_are_no_timestamps_are_refused_before_they_make_the_table(empty: Station) -> None:
    read = empty.project.tables[0].read
    reading(empty, lambda since, until: _as_text(read(since, until)))
    with pytest.raises(BatchRefused, match="happened_at is string, and views take their times from it"):
        ingest_new(empty, UNTIL)
    assert "events" not in empty.tables.names()
    reading(empty, read)
    ingest_new(empty, UNTIL)
    held(empty)


def _without_first(rows: pa.Table, column: str) -> pa.Table:
    at = rows.column_names.index(column)
    kept = pa.array([False, *[True] * (rows.num_rows - 1)])
    return rows.set_column(at, column, pc.if_else(kept, rows[column], None))


def _as_text(rows: pa.Table) -> pa.Table:
    at = rows.column_names.index("happened_at")
    return rows.set_column(at, "happened_at", rows["happened_at"].cast(pa.string()))


# declared columns


def test_a_declared_column_comes_to_a_table_from_before(empty: Station) -> None:
    ingest_new(empty, UNTIL - DAY)
    read = empty.project.tables[0].read
    before = empty.tables.read("events")

    def noted(since: datetime, until: datetime) -> pa.Table:
        rows = read(since, until)
        return rows.append_column("note", pa.array(["new"] * rows.num_rows))

    reading(empty, noted)
    with pytest.raises(SchemaChanged, match="note is new"):
        ingest_new(empty, UNTIL)
    reading(empty, noted, schema=pa.schema([*before.schema, ("note", pa.string())]))
    ingest_new(empty, UNTIL)
    held(empty)
    notes = empty.tables.read("events")["note"].to_pylist()
    assert notes == [None] * before.num_rows + ["new"] * (len(notes) - before.num_rows)
    assert empty.tables.read("events", version=0).equals(before)
    assert "data.evolve events" in [f"{event.action} {event.resource}" for event in empty.audit.events()]


def test_a_file_can_be_a_source(empty: Station, tmp_path: Path) -> None:
    rows = empty.project.tables[0].read(EPOCH, UNTIL)
    pq.write_table(rows, tmp_path / "events.parquet")
    reading(empty, FileSource(tmp_path / "events.parquet", published="published_at"), schema=rows.schema)
    ingest_new(empty, UNTIL - DAY)
    ingest_new(empty, UNTIL)
    held(empty)
