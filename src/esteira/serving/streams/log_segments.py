"""The segment files of the local log: their names, and the end of the newest, where a writer goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from esteira.base.files import sync_folder
from esteira.serving.streams.frames import frames, pack, refuse_damaged, size_of_next

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SEGMENT_BYTES = 64 * 1024 * 1024  # a segment that is larger is followed by the next
SUFFIX = ".log"
_DIGITS = 20  # of the number that is a segment's name
_READ_BYTES = 1024 * 1024
sync = getattr(os, "fdatasync", os.fsync)  # macOS has only fsync


def segments(folder: Path) -> list[Path]:
    """The segments of a log, oldest first; other logs may lie beside them."""
    return sorted(folder.glob("[0-9]" * _DIGITS + SUFFIX))


def first_of(segment: Path) -> int:
    """The number of a segment's first message, which its name is."""
    return int(segment.stem)


def read_frames(handle: int, offset: int) -> bytes:
    """The bytes of an open segment from a frame on: as many as fit, but that frame whole if it is there."""
    content = os.pread(handle, _READ_BYTES, offset)
    size = size_of_next(content)
    return os.pread(handle, size, offset) if len(content) == _READ_BYTES < size else content


class LogEnd:
    """Where the log ends. Only `write` and `mend` need the lock of the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segment: Path | None = None
        self._offset = 0  # after the last whole frame of the segment
        self.next = 0  # the number of the next message

    def find(self) -> int:
        """Look again; gives the number of the next message."""
        for segment in segments(self._folder)[-1:]:
            if segment != self._segment:
                self._segment, self._offset, self.next = segment, 0, first_of(segment)
            self._pass_frames(segment)
        return self.next

    def mend(self) -> None:
        """Leave a torn end behind: the next segment begins there.

        Raises: CorruptArtifact (a damage with messages behind it), OSError.
        """
        segment = self._segment
        if segment is None:
            return
        handle = os.open(segment, os.O_RDWR)
        try:
            rest = os.pread(handle, max(os.fstat(handle).st_size - self._offset, 0), self._offset)
            refuse_damaged(segment.name, rest)
            if rest and self._offset == 0:  # no message of it was ever whole, and its name is needed
                os.ftruncate(handle, 0)
            sync(handle)  # whoever wrote the last frames may have been killed before
        finally:
            os.close(handle)
        if rest and self._offset:
            self._segment = None

    def write(self, together: Sequence[Sequence[tuple[str, bytes]]], at: int) -> None:
        """Put messages on disk, each group of them in a frame. Raises: OSError; the first may be there."""
        for group in together:
            if self._segment is None or self._offset >= SEGMENT_BYTES:
                self._begin()
            self._add(pack(self.next, at, group))
            self.next += len(group)

    def _pass_frames(self, segment: Path) -> None:
        handle = os.open(segment, os.O_RDONLY)
        try:
            while True:
                before = self._offset
                for frame in frames(read_frames(handle, before)):
                    self._offset, self.next = before + frame.end, frame.first + frame.rows
                if self._offset == before:
                    return
        finally:
            os.close(handle)

    def _begin(self) -> None:
        self._segment = self._folder / f"{self.next:0{_DIGITS}d}{SUFFIX}"
        self._offset = 0
        os.close(os.open(self._segment, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        sync_folder(self._folder)

    def _add(self, frame: bytes) -> None:
        assert self._segment is not None  # begun
        handle, rest = os.open(self._segment, os.O_WRONLY | os.O_APPEND), memoryview(frame)
        try:
            while rest:
                rest = rest[os.write(handle, rest) :]
            sync(handle)
        except OSError:
            os.ftruncate(handle, self._offset)  # what was not promised is not there
            raise
        finally:
            os.close(handle)
        self._offset += len(frame)
