"""Append-only files of framed records: what a writer has flushed survives `kill -9`, whole or not at all.

A segment is a run of frames `[u32 length][u32 crc32][payload]`, little-endian. Each writer makes its own
files and never opens an old one; it holds a lock on the file it writes, which the kernel lets go when the
process dies, so a reader knows which segments can no longer grow.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import re
import struct
import threading
import time
import zlib
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

from esteira.base.errors import BadInput, StorageUnwritable, UnknownScheme
from esteira.base.files import sync_folder, writing
from esteira.base.optional import path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

log = logging.getLogger(__name__)

Record = TypeVar("Record")

SEGMENT_BYTES = 16 * 1024 * 1024  # a segment is closed when it is larger
READ_BYTES = 64 * 1024 * 1024  # one read takes no further segment after that many
QUEUE_RECORDS = 65_536  # what a writer keeps in memory while the disk refuses
QUEUE_BYTES = 128 * 1024 * 1024  # of large records: then it takes no further one
COMMIT_RECORDS, COMMIT_BYTES = 8_192, 4 * 1024 * 1024  # one commit takes no further record after that many
JOINED = 512  # records in one payload, where they can be joined
SUFFIX, TORN = ".segment", ".torn"

_HEADER = struct.Struct("<II")
_FULL = "the queue is full, the disk does not keep up"
_NAME = re.compile(r"[A-Za-z0-9_]+")
_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)  # macOS has only fsync


def folder_of(url: str) -> Path:
    """The folder of a `file:` URL. Raises: UnknownScheme.

    >>> folder_of("file:/srv/predictions").as_posix()
    '/srv/predictions'
    """
    if urlsplit(url).scheme != "file":
        raise UnknownScheme(url, ["file"])
    return Path(path_of(url))


class Weight(NamedTuple):
    """What a large record holds."""

    rows: int
    size: int  # bytes, about


class SegmentWriter(Generic[Record]):
    """Takes records off a hot path; a thread encodes them and commits them in groups.

    A record is on disk at most `flush_ms` plus one disk sync after `write`. While the disk refuses, records
    wait in memory up to `capacity`; what does not fit is given up and counted in `dropped`, and the log
    says so once. A subclass that says how to `join` records gives those of one commit a payload together.
    One whose records of the type `large` hold many rows each says how to `weigh` them: they wait up to
    QUEUE_BYTES, and each counts as its rows.

    Raises: BadInput (a name that is no file name), StorageUnwritable (at the start only).
    """

    join: Callable[[Sequence[Record]], bytes] | None = None
    large: type | None = None
    weigh: Callable[[Any], Weight]

    def __init__(
        self,
        folder: Path,
        kind: str,
        worker: str,
        encode: Callable[[Record], bytes],
        *,
        flush_ms: int = 50,
        capacity: int = QUEUE_RECORDS,
    ) -> None:
        for name in (kind, worker):
            if not _NAME.fullmatch(name):
                raise BadInput(f"a segment is named by letters, digits and _, found {name!r}; rename it")
        self.folder, self.dropped = folder, 0
        self._kind, self._worker = kind, worker
        self._encode, self._capacity = encode, capacity
        self._queue: deque[Record] = deque()
        self._pending = memoryview(b"")  # encoded but not yet written, kept as it is until it is
        self._pending_rows = self._more_rows = self._large_bytes = 0  # more: than records in the queue
        self._unsynced = self._complained = False
        self._committing, self._counting = threading.Lock(), threading.Lock()
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
            self._handle = self._new_segment()
        self._size = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(flush_ms / 1000,), daemon=True)
        self._thread.start()
        atexit.register(self.close)

    @property
    def queued(self) -> int:
        """Records in memory that are not yet on disk; a large one counts as its rows."""
        return len(self._queue) + self._more_rows + (self._pending_rows if self._pending else 0)

    def write(self, record: Record) -> None:
        """Take a record; never waits for the disk."""
        queue = self._queue
        if type(record) is self.large:
            self._write_large(record)
        elif len(queue) < self._capacity:
            queue.append(record)
        else:
            self._drop(1, _FULL)

    def _write_large(self, record: Record) -> None:
        weight = self.weigh(record)
        with self._counting:
            has_room = len(self._queue) < self._capacity and self._large_bytes < QUEUE_BYTES
            if has_room:
                self._more_rows += weight.rows - 1
                self._large_bytes += weight.size
                self._queue.append(record)
        if not has_room:
            self._drop(weight.rows, _FULL)

    def keep(self, record: Record) -> None:
        """Put a record on disk before returning.

        Raises: StorageUnwritable; the record may then have been taken or not, so whoever brings it again
        must say that it is the same. A reader never sees a part of it.
        """
        frame = memoryview(_frame(self._encode(record)))
        with self._committing, writing(self.folder):
            if self._stop.is_set():
                raise StorageUnwritable(str(self.folder), "the log is closed")
            self._commit()
            start, self._pending, self._pending_rows = self._size, frame, 1
            try:
                self._put_down()
            finally:
                if self._pending:  # half a frame must not stand before the next one
                    os.ftruncate(self._handle, start)
                    self._size, self._pending = start, memoryview(b"")

    def flush(self) -> None:
        """Put on disk what was written so far; if the disk refuses, it stays queued."""
        with self._committing:
            try:
                self._commit()
            except OSError as refused:
                self._complain(f"{refused}; free space or mend the folder")
            else:
                self._complained = False

    def close(self) -> None:
        """Flush and let the segment go; a later `write` is counted as dropped."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        atexit.unregister(self.close)
        self._capacity = 0
        self.flush()
        lost = self.queued
        if lost:
            self._drop(lost, "the disk refused until the end")
        self._queue.clear()
        self._more_rows = self._large_bytes = 0
        # A later flush must not touch what the number of the handle means by then.
        self._pending, self._unsynced = memoryview(b""), False
        os.close(self._handle)

    def _run(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            self.flush()

    def _commit(self) -> None:
        left = len(self._queue)
        self._put_down()
        while left > 0:
            records, self._pending_rows = self._take(min(left, COMMIT_RECORDS))
            left -= len(records)
            self._pending = memoryview(b"".join(self._frames(records)))
            self._put_down()

    def _take(self, most: int) -> tuple[list[Record], int]:
        """The next records that are encoded together, and how many they count as."""
        records: list[Record] = []
        more = size = 0
        while len(records) < most and size < COMMIT_BYTES:
            record = self._queue.popleft()
            records.append(record)
            if type(record) is self.large:
                weight = self.weigh(record)
                more += weight.rows - 1
                size += weight.size
        with self._counting:
            self._more_rows -= more
            self._large_bytes -= size
        return records, len(records) + more

    def _put_down(self) -> None:
        """Write what is pending, and sync."""
        while self._pending:
            # A short write is continued where it stopped: offsets that a reader has seen stay true.
            written = os.write(self._handle, self._pending)
            self._pending = self._pending[written:]
            self._size += written
            self._unsynced = True
        if self._unsynced:
            _sync(self._handle)
            self._unsynced = False
        if self._size >= SEGMENT_BYTES:
            full, self._handle = self._handle, self._new_segment()
            self._size = 0
            os.close(full)

    def _frames(self, records: Sequence[Record]) -> list[bytes]:
        if self.join is None:
            return self._one_by_one(records)
        frames: list[bytes] = []
        for start in range(0, len(records), JOINED):
            together = records[start : start + JOINED]
            try:
                frames.append(_frame(self.join(together)))
            except Exception:  # noqa: BLE001 - one of them is at fault
                frames += self._one_by_one(together)
        return frames

    def _one_by_one(self, records: Sequence[Record]) -> list[bytes]:
        frames: list[bytes] = []
        for record in records:
            try:
                frames.append(_frame(self._encode(record)))
            except Exception as wrong:  # noqa: BLE001 - one bad record must not end the log of the others
                rows = self.weigh(record).rows if type(record) is self.large else 1
                self._drop(rows, f"a record cannot be encoded: {wrong}")
        return frames

    def _new_segment(self) -> int:
        while True:
            # The name sorts by the machine's time and is new even if an older one was drained and deleted.
            path = self.folder / f"{self._kind}-{time.time_ns():020d}-{self._worker}{SUFFIX}"
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:  # a drain may have found it unlocked and empty, and deleted it
                sync_folder(self.folder)
                return handle
            os.close(handle)

    def _drop(self, count: int, reason: str) -> None:
        with self._counting:
            self.dropped += count
        self._complain(reason)

    def _complain(self, reason: str) -> None:
        if not self._complained:
            self._complained = True
            facts = {"folder": str(self.folder), "kind": self._kind, "dropped": self.dropped}
            log.error("records are not written: %s", reason, extra=facts)


def _frame(payload: bytes) -> bytes:
    return _HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def segments(folder: Path, kind: str) -> list[Path]:
    """The segments of a kind, oldest first."""
    return sorted(folder.glob(f"{kind}-*{SUFFIX}"))


def read_segments(
    folder: Path, kind: str, cursor: Mapping[str, int], until: Mapping[str, int] | None = None
) -> tuple[list[bytes], dict[str, int]]:
    """The payloads after `cursor` (segment name → byte offset), and the cursor after them.

    With `until`, exactly the records up to that cursor; else up to about `READ_BYTES` of them: call
    again until none come. A torn frame is not read, nor passed.
    """
    records: list[bytes] = []
    after: dict[str, int] = {}
    taken = 0
    for path in segments(folder, kind):
        start = cursor.get(path.name, 0)
        stop = None if until is None else until.get(path.name, 0)
        after[path.name] = start
        if taken < READ_BYTES or until is not None:
            after[path.name] += _read_frames(path, start, stop, records)
            taken += after[path.name] - start
    return records, after


def remove_drained(folder: Path, kind: str, cursor: Mapping[str, int]) -> list[str]:
    """Delete the segments that nobody writes and that `cursor` has passed wholly; gives their names.

    One whose end is torn is kept as `.torn`, with a warning: its last bytes are no record.
    """
    removed = []
    for path in segments(folder, kind):
        with path.open("rb") as file:
            if not _try_lock(file.fileno()):
                continue
            rest: list[bytes] = []
            start = cursor.get(path.name, 0)
            end = start + _read_frames(path, start, None, rest)
            if rest:
                continue
            removed.append(path.name)
            lost = path.stat().st_size - end
            if lost > 0:
                log.warning("a segment ends torn", extra={"segment": path.name, "bytes": lost})
                path.replace(path.with_suffix(TORN))
            else:
                path.unlink()
    return removed


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_frames(path: Path, start: int, stop: int | None, records: list[bytes]) -> int:
    with path.open("rb") as file:
        file.seek(start)
        content = file.read() if stop is None else file.read(max(stop - start, 0))
    return _parse(content, records)


def _parse(content: bytes, records: list[bytes]) -> int:
    """Append the payloads of whole frames; gives the bytes they take."""
    at, header, end = 0, _HEADER.size, len(content)
    while at + header <= end:
        length, check = _HEADER.unpack_from(content, at)
        payload = content[at + header : at + header + length]
        # No frame is empty: zeros, which a power loss leaves at the end of a file, would pass as one.
        if not length or len(payload) < length or zlib.crc32(payload) != check:
            break
        records.append(payload)
        at += header + length
    return at
