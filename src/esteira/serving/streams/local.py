"""The stream of one machine: a log in a folder, which several processes may write and read at once.

Whoever writes holds the lock of the folder, syncs before letting go, and never goes on behind a torn end:
the next segment begins there, so that its name says how many messages the one before must hold.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from esteira.base.clock import SystemClock
from esteira.base.errors import BadInput, UnknownScheme
from esteira.base.files import locked, sync_folder, write_atomic, writing
from esteira.base.optional import path_of
from esteira.serving.streams.log_reader import PARTITION, LogReader
from esteira.serving.streams.log_segments import LogEnd, first_of, segments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from esteira.base.ports import Clock
    from esteira.serving.streams.port import Cursor, Message

TOGETHER, TOGETHER_BYTES = 1_000, 4 * 1024 * 1024  # messages of one frame; a single one may be larger
LARGEST = 1 << 28  # bytes of a message
_IDENTITY, _LOCK = "stream.id", "append.lock"
_LOOK_S = 0.02


class LocalStream:
    """The log in the folder of a `file:` URL, made if it is not there.

    Messages are numbered from 0 without a gap, and stay until `trim`. Otherwise as `Stream` says; not for
    several threads at once. Raises: UnknownScheme, BadInput (no folder), StorageUnwritable.
    >>> import tempfile
    >>> stream = LocalStream(f"file:{tempfile.mkdtemp()}")
    >>> stream.append([b'{"miles": 500}', b'{"miles": 1400}'])
    0
    >>> [(message.position, message.payload) for message in stream.read({0: 1}, 10, 1_000, wait_s=0.0)]
    [(1, b'{"miles": 1400}')]
    """

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        if not url.startswith("file:"):
            raise UnknownScheme(url, ["file"])
        if not path_of(url):
            raise BadInput(f"{url!r} names no folder; write file:FOLDER")
        self.folder, self.address = Path(path_of(url)), url
        if self.folder.exists() and not self.folder.is_dir():
            raise BadInput(f"{self.folder} is a file; a stream is a folder, made if it is not there")
        self._clock = clock or SystemClock()
        with locked(self.folder / _LOCK), writing(self.folder):
            place = self.folder / _IDENTITY
            if not place.exists():
                write_atomic(place, uuid4().hex.encode())
            self.identity = f"local:{place.read_text(encoding='ascii')}"
        self._reader, self._end = LogReader(self.folder, url), LogEnd(self.folder)

    def append(self, payloads: Sequence[bytes], keys: Sequence[str] = ()) -> int:
        """Add messages, durably before it returns; gives the position of the first.

        Up to a thousand small messages are added all or none; of more, when killed in between, the first
        may be there. Raises: StorageUnwritable, CorruptArtifact, BadInput (too large, a key missing).
        """
        if keys and len(keys) != len(payloads):
            raise BadInput(f"give a key for each message or none, found {len(keys)} for {len(payloads)}")
        largest = max(map(len, payloads), default=0)
        if largest > LARGEST:
            raise BadInput(f"a message has at most {LARGEST} bytes, found {largest}")
        messages = [*zip(keys or [""] * len(payloads), payloads, strict=True)]
        with locked(self.folder / _LOCK), writing(self.folder):
            first = self._end.find()
            self._end.mend()
            self._end.write([*_together(messages)], self._clock.micros())
        return first

    def publish(self, payloads: Sequence[bytes], keys: Sequence[str] = ()) -> None:
        """See `Stream.publish`."""
        self.append(payloads, keys)

    def read(self, start: Cursor, most: int, size: int, wait_s: float) -> list[Message]:
        """See `Stream.read`."""
        found: list[Message] = []
        until, position, left = time.monotonic() + wait_s, start.get(PARTITION, 0), size
        while True:
            taken = self._reader.take(position, most - len(found), left)
            found += taken
            position = found[-1].position + 1 if found else position
            left -= sum(len(message.payload) for message in taken)
            rest = until - time.monotonic()
            if len(found) >= most or rest <= 0 or (found and left <= 0):
                return found
            time.sleep(min(_LOOK_S, rest))

    def behind(self, start: Cursor) -> int:
        """See `Stream.behind`."""
        return max(self._end.find() - start.get(PARTITION, 0), 0)

    def acknowledge(self, until: Cursor) -> None:
        """Nothing: every reader keeps its own place, and messages stay until `trim`."""

    def trim(self, before: int) -> int:
        """Delete the segments that hold only messages before a position; gives how many those were.

        Raises: StorageUnwritable.
        """
        with locked(self.folder / _LOCK), writing(self.folder):
            found = segments(self.folder)
            gone = [path for path, after in pairwise(found) if first_of(after) <= before]
            for path in gone:
                path.unlink()
            sync_folder(self.folder)
        return len(gone)

    def close(self) -> None:
        """See `Stream.close`."""
        self._reader.close()


def _together(messages: Sequence[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    group: list[tuple[str, bytes]] = []
    size = 0
    for message in messages:
        if group and (len(group) == TOGETHER or size + len(message[1]) > TOGETHER_BYTES):
            yield group
            group, size = [], 0
        group.append(message)
        size += len(message[1])
    if group:
        yield group
