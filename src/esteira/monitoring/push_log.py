"""The logs between the gateway and the tables that are filled by pushes: a folder of segments for each."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from esteira.base.errors import CorruptArtifact
from esteira.monitoring.drain import drain_segments
from esteira.monitoring.segments import SegmentWriter, folder_of, segments

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from esteira.base.databases.port import SqlDatabase
    from esteira.monitoring.drain import Move

PUSHES = "pushes"  # the kind of their segments
_HOUR_MS = 3_600_000  # nothing waits in memory, so the writer's thread has nothing to do


@dataclass(frozen=True, slots=True)
class Push:
    """Rows that were sent together; the same token names the same push."""

    token: str
    rows: pa.Table


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[str, bytes]).decode


class PushLog:
    """Where a gateway worker puts the rows that are pushed to it, in the folder of a `file:` URL.

    Raises: UnknownScheme.
    """

    def __init__(self, url: str, worker: str) -> None:
        self._url, self._worker = url, worker
        self._writers: dict[str, SegmentWriter[Push]] = {}
        folder_of(url)

    def keep(self, table: str, push: Push) -> None:
        """Put a push on disk before returning. Raises: StorageUnwritable, as `SegmentWriter.keep`."""
        writer = self._writers.get(table)
        if writer is None:
            folder = pushes_folder(self._url, table)
            writer = SegmentWriter(folder, PUSHES, self._worker, encode_push, flush_ms=_HOUR_MS)
            self._writers[table] = writer
        writer.keep(push)

    def close(self) -> None:
        """Let the segments go."""
        for writer in self._writers.values():
            writer.close()


def pushes_folder(url: str, table: str) -> Path:
    """Where the pushes to a table wait. Raises: UnknownScheme.

    >>> pushes_folder("file:/srv/predictions", "readings").as_posix()
    '/srv/predictions/pushes-readings'
    """
    return folder_of(url) / f"{PUSHES}-{table}"


def pushes_seen(url: str, table: str) -> dict[str, int]:
    """The segments that wait for a table, with their bytes: as long as it is the same, nothing has come."""
    seen = {}
    for path in segments(pushes_folder(url, table), PUSHES):
        with suppress(FileNotFoundError):  # another process has just passed it
            seen[path.name] = path.stat().st_size
    return seen


def drain_pushes(url: str, table: str, move: Move, state: SqlDatabase) -> int:
    """Hand all new pushes to a table to `move`; otherwise as `drain_segments`."""
    return drain_segments(pushes_folder(url, table), PUSHES, move, state, name=f"{PUSHES} {table}")


def encode_push(push: Push) -> bytes:
    """The payload of a push: its token, and its rows as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, push.rows.schema) as stream:
        stream.write_table(push.rows)
    return _encode((push.token, sink.getvalue().to_pybytes()))


def decode_pushes(payloads: Sequence[bytes]) -> list[Push]:
    """Payloads as pushes. Raises: CorruptArtifact.

    >>> push = Push("a7", pa.table({"origin": ["JFK"]}))
    >>> decode_pushes([encode_push(push)]) == [push]
    True
    """
    try:
        pairs = [_decode(payload) for payload in payloads]
        return [Push(token, pa.ipc.open_stream(rows).read_all()) for token, rows in pairs]
    except (msgspec.MsgspecError, pa.ArrowInvalid) as wrong:
        raise CorruptArtifact("a segment", "pushes: tokens and Arrow rows", str(wrong)) from wrong
