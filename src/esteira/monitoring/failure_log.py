"""The log between the gateway and the table of requests whose version was asked and gave no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pyarrow as pa

from esteira.base.errors import CorruptArtifact
from esteira.monitoring.segments import SegmentWriter, folder_of

if TYPE_CHECKING:
    from collections.abc import Sequence

# Kinds of segments, and the tables they become. Those of versions that were asked besides stand apart, as
# their answers do: nobody waited for them, so no caller was failed.
FAILURES, SHADOW_FAILURES = "failures", "shadow_failures"
LONGEST_REASON = 300  # characters

FAILURES_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "at": pa.timestamp("us", tz="UTC"),
        "model": pa.string(),
        "version": pa.int32(),
        "arm": pa.string(),
        "revision": pa.int64(),
        "key": pa.string(),
        "status": pa.int32(),
        "reason": pa.string(),
        "latency": pa.float64(),  # seconds
    }
)


class FailedRequest(NamedTuple):
    """One request that a version of a model did not answer."""

    id: str
    at: int  # UTC microseconds
    model: str
    version: int
    arm: str
    revision: int  # of the routes that chose the arm
    key: str
    status: int  # as HTTP numbers it
    reason: str
    latency: float  # seconds until that was known


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(FailedRequest).decode


class FailureLog(SegmentWriter[FailedRequest]):
    """The sink of a gateway worker: failures go to segment files in the folder of a `file:` URL.

    Raises: UnknownScheme, BadInput (a worker name that is no file name), StorageUnwritable.
    """

    def __init__(self, url: str, worker: str, flush_ms: int = 50, kind: str = FAILURES) -> None:
        super().__init__(folder_of(url), kind, worker, _encode, flush_ms=flush_ms)


def reason_of(raised: Exception) -> str:
    """What the log keeps of an error: its kind and its words, as far as there is room.

    >>> reason_of(ValueError("no such\\ncolumn"))
    'ValueError: no such column'
    """
    words = " ".join(str(raised).split())
    said = f"{type(raised).__name__}: {words}" if words else type(raised).__name__
    return said[:LONGEST_REASON]


def failures_table(payloads: Sequence[bytes]) -> pa.Table:
    """Payloads as a table of `FAILURES_SCHEMA`. Raises: CorruptArtifact."""
    try:
        rows = [_decode(payload) for payload in payloads]
    except msgspec.MsgspecError as wrong:
        expected = f"records of {', '.join(FAILURES_SCHEMA.names)}"
        raise CorruptArtifact("a segment", expected, str(wrong)) from wrong
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(FAILURES_SCHEMA)
    arrays = [pa.array(c, t) for c, t in zip(columns, FAILURES_SCHEMA.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=FAILURES_SCHEMA)
