"""Reads the local log from any message on, also while others write it."""

from __future__ import annotations

import logging
import os
from bisect import bisect_right
from typing import TYPE_CHECKING

from esteira.base.errors import CorruptArtifact
from esteira.serving.streams.frames import frames, refuse_damaged
from esteira.serving.streams.log_segments import first_of, read_frames, segments, sync
from esteira.serving.streams.port import Message, StreamMadeAnew

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esteira.serving.streams.frames import Frame

log = logging.getLogger(__name__)

PARTITION = 0  # the only one


class LogReader:
    """Stands at one place of a log; to go on from there costs no search."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder, self._address = folder, address
        self._position = self._next = 0  # the message that is wanted, and the first of the next frame
        self._segment: Path | None = None
        self._handle, self._offset, self._synced = -1, 0, 0
        self._frames: Iterator[Frame] = iter(())
        self._waiting: list[Message] = []  # of one frame, the next one last

    def take(self, position: int, most: int, size: int) -> list[Message]:
        """What is there from a position on: at most so many messages and bytes, but one at least.

        Raises: StreamMadeAnew, CorruptArtifact.
        """
        if position != self._position:
            self._seek(position)
        found: list[Message] = []
        taken = 0
        while len(found) < most and (self._waiting or self._fill()):
            taken += len(self._waiting[-1].payload)
            if found and taken > size:
                break
            found.append(self._waiting.pop())
            self._position = found[-1].position + 1
        return found

    def close(self) -> None:
        """Close the segment that is open."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _seek(self, position: int) -> None:
        self.close()
        self._segment, self._position, self._next, self._waiting = None, position, 0, []
        self._frames = iter(())

    def _fill(self) -> bool:
        """Get the messages of the next frame; False when there is none yet."""
        while True:
            for frame in self._frames:
                self._check(frame)
                self._next = frame.first + frame.rows
                if self._next > self._position:
                    self._waiting = [*self._messages(frame)][::-1]
                    return True
            if not self._read() and not self._enter():
                if self._next < self._position:
                    mend = "bring its files back, or score it into another table"
                    raise StreamMadeAnew(self._address, self._position, self._next, mend)
                return False

    def _messages(self, frame: Frame) -> Iterator[Message]:
        for number, (key, payload) in enumerate(frame.messages(), start=frame.first):
            if number >= self._position:
                yield Message(PARTITION, number, frame.at, key, payload)

    def _check(self, frame: Frame) -> None:
        if frame.first != self._next:
            found = f"message {frame.first}"
            raise CorruptArtifact(f"the stream {self._address}", f"message {self._next}", found)

    def _read(self) -> bool:
        """Read on in the segment that is open; False when nothing whole follows yet."""
        if self._handle < 0:
            return False
        content = read_frames(self._handle, self._offset)
        whole = [*frames(content)]
        if not whole:
            refuse_damaged(self._segment.name if self._segment else "", content)
            return False
        self._frames, until = iter(whole), self._offset + whole[-1].end
        self._offset = until
        if until > self._synced:
            # What a power cut could take away again must not be scored: its number would be given twice.
            self._synced = os.fstat(self._handle).st_size
            sync(self._handle)
        return True

    def _enter(self) -> bool:
        """Go on to the next segment, if there is one; nobody writes the one before any more."""
        found = segments(self._folder)
        place = self._place(found)
        if place is None:
            return False
        if self._segment is not None and self._read():
            return True  # it has grown between our look at it and the next one's beginning
        segment = found[place]
        if self._segment is not None and first_of(segment) != self._next:
            expected = f"all messages before {first_of(segment)}"
            raise CorruptArtifact(f"the stream's file {self._segment.name}", expected, f"{self._next}")
        self.close()
        self._handle = os.open(segment, os.O_RDONLY)
        self._segment, self._offset, self._synced = segment, 0, 0
        self._next = first_of(segment)
        return True

    def _place(self, found: list[Path]) -> int | None:
        """Which of the segments is next."""
        firsts = [first_of(segment) for segment in found]
        if self._segment is not None:
            place = bisect_right(firsts, first_of(self._segment))
            return place if place < len(found) else None
        if firsts and firsts[0] > self._position:
            facts = {"stream": self._address, "from": self._position, "to": firsts[0]}
            log.error("messages were deleted before they were read", extra=facts)
            self._position = firsts[0]
        return bisect_right(firsts, self._position) - 1 if firsts else None
