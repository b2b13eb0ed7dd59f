"""Times as people write them, made UTC: never guessed."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput
from esteira.data.tables.schema import TIME

_LOCAL = pa.timestamp("us")
_ZONED = r"\d:\d\d.*(Z|[+-]\d\d(:?\d\d)?)$"


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a column of times beside its values."""

    what: str  # its name in messages
    start: int = 0  # the rows before it
    zone: str = ""  # of times without zone; none if empty
    settle: str = ""  # "earliest" or "latest" for those that clocks show twice or never; refused if empty

    def refuse(self, at: int, value: object, why: str) -> BadInput:
        return BadInput(f"{self.what}: row {self.start + at + 1} {str(value)!r} {why}")


def utc(times: pa.ChunkedArray, reading: Reading) -> pa.ChunkedArray:
    """Times or texts of them as timestamp[us, UTC]; empty texts are null. Raises: BadInput.

    >>> rome = Reading("landed", zone="Europe/Rome")
    >>> utc(pa.chunked_array([["2013-07-01 12:00"]]), rome)[0].as_py().isoformat()
    '2013-07-01T10:00:00+00:00'
    """
    if pa.types.is_null(times.type):
        return times.cast(TIME)
    if pa.types.is_string(times.type) or pa.types.is_large_string(times.type):
        times = _parsed(pc.if_else(pc.equal(times, ""), None, times), reading)
    if not pa.types.is_timestamp(times.type):
        raise BadInput(f"{reading.what} is {times.type}, expected times; name the column that holds them")
    try:
        if times.type.tz is not None:
            return times.cast(TIME)
        return _placed(times.cast(_LOCAL), reading)
    except pa.ArrowInvalid as lossy:
        raise BadInput(f"{reading.what} loses something as {TIME}: {lossy}; round it first") from lossy


def _parsed(texts: pa.ChunkedArray, reading: Reading) -> pa.ChunkedArray:
    """Times with zone if all texts have one, without if none has."""
    zoned = pc.match_substring_regex(texts, _ZONED)
    first = next((value for value in zoned if value.is_valid), pa.scalar(False))  # noqa: FBT003 - the value itself, not a switch
    other = pc.index(zoned, pc.invert(first)).as_py()
    if other >= 0:
        why = (
            "has a time zone, others have none"
            if zoned[other].as_py()
            else "has no time zone, others have one"
        )
        raise reading.refuse(other, texts[other], f"{why}; write all in one way")
    kind = TIME if first.as_py() else _LOCAL
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid as wrong:
        at = next(at for at, text in enumerate(texts) if not _is_time(text, kind))
        raise reading.refuse(at, texts[at], "is not an ISO 8601 time") from wrong


def _is_time(text: pa.Scalar, kind: pa.DataType) -> bool:
    try:
        text.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _placed(local: pa.ChunkedArray, reading: Reading) -> pa.ChunkedArray:
    if len(local) == local.null_count:
        return local.cast(pa.int64()).cast(TIME)
    if not reading.zone:
        raise BadInput(f"{reading.what} has no time zone; declare zone=…, e.g. zone='America/New_York'")
    early, late = (
        pc.assume_timezone(local, reading.zone, ambiguous=settled, nonexistent=settled)
        for settled in ("earliest", "latest")
    )
    doubtful = pc.index(pc.not_equal(early, late), True).as_py()
    if doubtful >= 0 and not reading.settle:
        is_twice = pc.local_timestamp(early[doubtful]).equals(local[doubtful])
        why = f"{'happens twice' if is_twice else 'never happens'} in {reading.zone}"
        mend = "write it in UTC, or say settle='earliest' or 'latest'"
        raise reading.refuse(doubtful, local[doubtful], f"{why}; {mend}")
    return (late if reading.settle == "latest" else early).cast(TIME)
