"""The access log: one JSON line for each answer, with nothing in it that a client chose."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections import deque
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from esteira.base.clock import from_micros
from esteira.base.files import writing

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from esteira.serving.telemetry.port import Exchange

log = logging.getLogger(__name__)

FLUSH_S = 0.2
QUEUE_LINES = 65_536  # what waits while the disk is slow
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))  # others are any text
OTHER = "OTHER"

_encode = msgspec.json.Encoder().encode


class AccessLog:
    """Takes note of answers; a thread writes them in groups to `access-N.jsonl`, N the first that is free.

    A file of `max_bytes` becomes `access-N.1.jsonl`, that before it `access-N.2.jsonl`; `files` are kept in
    all. What the disk refuses is given up, counted in `dropped` and said once. `kill -9` loses what came
    in the last `flush_s`.

    Raises: StorageUnwritable (at the start only).
    """

    name = "access_log"

    def __init__(
        self,
        folder: Path,
        worker: str,
        *,
        max_bytes: int,
        files: int,
        flush_s: float = FLUSH_S,
        capacity: int = QUEUE_LINES,
    ) -> None:
        self.dropped = 0
        self._folder, self._worker = folder, worker
        self._max_bytes, self._files, self._capacity = max_bytes, files, capacity
        self._queue: deque[Exchange] = deque()
        self._complained, self._counting = False, threading.Lock()
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock, self._number = _first_free(folder)
            self._file = self._open()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(flush_s,), name="access-log", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """The file that is written now."""
        return self._path(0)

    def answered(self, exchange: Exchange) -> None:
        """Take note of an answer; never waits for the disk."""
        if len(self._queue) < self._capacity:
            self._queue.append(exchange)
        else:
            self._drop(1, "the queue is full, the disk does not keep up")

    def close(self) -> None:
        """Write what is left and let the file go; what comes later is counted as dropped."""
        if self._stop.is_set():
            return
        self._capacity = 0
        self._stop.set()
        self._thread.join()
        self._flush()
        self._file.close()
        self._lock.close()

    def _run(self, flush_s: float) -> None:
        while not self._stop.wait(flush_s):
            self._flush()

    def _flush(self) -> None:
        waiting = [self._queue.popleft() for _ in range(len(self._queue))]
        if not waiting:
            return
        lines = self._lines(waiting)
        content, lost = b"".join(lines), len(lines)
        try:
            self._append(content)
            lost = 0
            if self._file.tell() >= self._max_bytes:
                self._rotate()
        except OSError as refused:
            self._drop(lost, f"{refused}; free space or mend the folder")
        else:
            self._complained = False

    def _lines(self, waiting: list[Exchange]) -> list[bytes]:
        lines = []
        for each in waiting:
            try:
                lines.append(_line(each, self._worker))
            except Exception as wrong:  # noqa: BLE001 - one bad line must not end the log of the others
                self._drop(1, f"a line cannot be encoded: {wrong}")
        return lines

    def _append(self, content: bytes) -> None:
        end = self._file.seek(0, os.SEEK_END)
        written = 0
        try:
            written = self._file.write(content)
        finally:
            if written < len(content):  # half a line must not stand before the next one
                self._file.truncate(end)
        if written < len(content):
            raise OSError("the disk is full")

    def _rotate(self) -> None:
        for age in range(self._files - 1, 0, -1):
            younger = self._path(age - 1)
            if younger.exists():
                younger.replace(self._path(age))
        fresh = self._open()
        if self._files == 1:
            fresh.truncate(0)
        self._file.close()
        self._file = fresh

    def _open(self) -> FileIO:
        file = self.path.open("ab+", buffering=0)
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - 65_536)
        file.seek(start)
        whole = file.read().rfind(b"\n") + 1
        file.truncate(start + whole)  # a writer that was killed left half a line
        return file

    def _path(self, age: int) -> Path:
        aged = f".{age}" if age else ""
        return self._folder / f"access-{self._number}{aged}.jsonl"

    def _drop(self, lines: int, reason: str) -> None:
        with self._counting:
            self.dropped += lines
        if not self._complained:
            self._complained = True
            facts = {"folder": str(self._folder), "dropped": self.dropped}
            log.error("the access log is not written: %s", reason, extra=facts)


def _first_free(folder: Path) -> tuple[FileIO, int]:
    for number in count():
        lock = (folder / f".access-{number}.lock").open("ab", buffering=0)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        break
    return lock, number


def _line(exchange: Exchange, worker: str) -> bytes:
    line = {
        "time": from_micros(exchange.started).isoformat(timespec="microseconds"),
        "worker": worker,
        "method": exchange.method if exchange.method in METHODS else OTHER,
        "route": exchange.route,
        "protocol": exchange.protocol,
        "status": exchange.status,
        "seconds": round(exchange.seconds, 7),
        "predict_seconds": round(exchange.predict_seconds, 7),
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
        "rows": exchange.rows,
        "model": exchange.model,
        "version": exchange.version,
        "arm": exchange.arm,
        "caller": exchange.caller,
    }
    return _encode(line) + b"\n"
