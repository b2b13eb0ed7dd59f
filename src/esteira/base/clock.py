"""Time: UTC inside, and a clock that can be simulated, also across processes."""

from __future__ import annotations

import mmap
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, NaiveTime
from esteira.base.files import writing
from esteira.base.optional import open_by_scheme, path_of

if TYPE_CHECKING:
    from esteira.base.ports import Clock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CELL = struct.Struct("<q")


def to_micros(moment: datetime, what: str = "time") -> int:
    """Microseconds since 1970 in UTC. Raises: NaiveTime.

    >>> to_micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    if moment.tzinfo is None:
        raise NaiveTime(what)
    return (moment - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The UTC time that many microseconds after 1970.

    >>> from_micros(1_000_000).isoformat()
    '1970-01-01T00:00:01+00:00'
    """
    return EPOCH + timedelta(microseconds=micros)


def parse_time(text: str, what: str = "time") -> datetime:
    """An ISO 8601 text with zone as UTC. Raises: BadInput, NaiveTime.

    >>> parse_time("2013-07-01T00:00:00-03:00").isoformat()
    '2013-07-01T03:00:00+00:00'
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise BadInput(f"{what} {text!r} is not an ISO 8601 time; write e.g. 2013-07-01T00:00:00Z") from wrong
    if moment.tzinfo is None:
        raise NaiveTime(f"{what} {text!r}")
    try:
        return moment.astimezone(UTC)
    except OverflowError as outside:
        raise BadInput(
            f"{what} {text!r} lies outside the years 1 to 9999 in UTC; give one within"
        ) from outside


class SystemClock:
    """The machine's clock."""

    def __init__(self, url: str = "system:") -> None:
        self.url = url

    def now(self) -> datetime:
        return datetime.now(UTC)

    def micros(self) -> int:
        return time.time_ns() // 1000


class SimulatedClock:
    """A clock that stands still until it is set; with a file, every process that opens it sees one time.

    Raises: BadInput when it is set backwards, StorageUnwritable when its file cannot be made.
    >>> clock = SimulatedClock(start=datetime(2013, 1, 1, tzinfo=UTC))
    >>> clock.advance(timedelta(hours=1)); clock.now().isoformat()
    '2013-01-01T01:00:00+00:00'
    """

    def __init__(self, url: str = "", *, start: datetime | None = None) -> None:
        self.url = url
        path, _, query = path_of(url).partition("?start=")
        self._cell: mmap.mmap | bytearray = self._map(Path(path)) if path else bytearray(_CELL.size)
        if query:
            start = parse_time(query, "the start of the simulated clock")
        if start is not None and self.micros() == 0:
            self.set(start)

    @staticmethod
    def _map(path: Path) -> mmap.mmap:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a+b") as file:
                if file.tell() < _CELL.size:
                    file.truncate(_CELL.size)
                return mmap.mmap(file.fileno(), _CELL.size)

    def micros(self) -> int:
        return int(_CELL.unpack_from(self._cell)[0])

    def now(self) -> datetime:
        return from_micros(self.micros())

    def set(self, moment: datetime) -> None:
        micros = to_micros(moment)
        if micros < self.micros():
            raise BadInput(f"a simulated clock goes forward only: {moment} is before {self.now()}")
        _CELL.pack_into(self._cell, 0, micros)

    def advance(self, by: timedelta) -> None:
        self.set(self.now() + by)


_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def span_of(text: str) -> timedelta:
    """A span of time that a person wrote: a whole number of days, hours, minutes or seconds.

    Raises: BadInput.
    >>> span_of("12h"), span_of("0d")
    (datetime.timedelta(seconds=43200), datetime.timedelta(0))
    """
    number, unit = text[:-1], _UNITS.get(text[-1:])
    if unit is None or not (number.isascii() and number.isdecimal()) or len(number) > 6:
        raise BadInput(f"{text!r} is no span of time; write e.g. 7d, 12h, 30m or 10s")
    return timedelta(**{unit: int(number)})


_CLOCKS = {"system": "esteira.base.clock:SystemClock", "simulated": "esteira.base.clock:SimulatedClock"}


def open_clock(url: str) -> Clock:
    """`system:`, or `simulated:PATH?start=TIME` for a clock that several processes share.

    Raises: UnknownScheme, BadInput.

    >>> open_clock("system:").now().tzinfo is UTC
    True
    """
    clock: Clock = open_by_scheme(_CLOCKS, url)
    return clock
