"""A process that answers frames on its pipes: asked with a deadline, and killed when that has passed."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from weakref import finalize

from esteira.base.errors import EsteiraError
from esteira.serving.runtimes.frames import HEADER, LARGEST, framed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_CHUNK = 1 << 20  # bytes moved at once
_GRACE_S = 1.0  # for the system to say how a process ended whose pipes are closed


class ModelDied(EsteiraError):
    """The process of a model ended before it answered."""

    def __init__(self, how: str) -> None:
        super().__init__(
            f"the model's process ended ({how}) before it answered; the next request starts another"
        )
        self.how = how


class ModelHung(EsteiraError):
    """The process of a model did not answer in time and was ended."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the model did not answer within {seconds:g} s and was ended; the next request starts it anew. "
            "If it needs longer, raise pyfunc_seconds under [gateway] in esteira.toml"
        )
        self.seconds = seconds


class ChildProcess:
    """`python -m MODULE WORDS`; it is killed when this object is no longer held. For one thread at a time."""

    def __init__(self, module: str, words: Sequence[str], environment: Mapping[str, str]) -> None:
        # -P: what lies in the working directory of the gateway is nothing that a model may import.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environment),
            bufsize=0,
        )
        self._pipes = [pipe.fileno() for pipe in (self._process.stdin, self._process.stdout) if pipe]
        for pipe in self._pipes:
            os.set_blocking(pipe, False)
        self.end = finalize(self, _end, self._process)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, kind: bytes, content: bytes, seconds: float) -> tuple[bytes, bytes]:
        """The kind and the content of the answer to a frame.

        Raises: ModelDied, ModelHung; after either the process is gone. BadInput (a frame that is too large).
        """
        question = framed(kind, content)
        if not self.end.alive:  # its pipes are closed, and their numbers may be those of other files by now
            raise ModelDied("it was ended")
        with self._within(seconds) as until:
            self._write(memoryview(question), until)
            return self._answer(until)

    def first_word(self, seconds: float) -> tuple[bytes, bytes]:
        """The frame that it sends unasked, once it is ready. Raises: as `ask`."""
        with self._within(seconds) as until:
            return self._answer(until)

    @contextmanager
    def _within(self, seconds: float) -> Iterator[float]:
        try:
            yield time.monotonic() + seconds
        except TimeoutError:
            self.end()
            raise ModelHung(seconds) from None

    def _answer(self, until: float) -> tuple[bytes, bytes]:
        kind, size = HEADER.unpack(self._read(HEADER.size, until))
        if size > LARGEST:
            raise self.died(f"an answer of {size:,} bytes")
        return kind, bytes(self._read(size, until))

    def died(self, how: str = "") -> ModelDied:
        """End the process, and say how it ended by itself if it did."""
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(_GRACE_S)
            how = how or (f"signal {-code}" if code < 0 else f"exit code {code}")
        self.end()
        return ModelDied(how or "it closed its pipes")

    def _write(self, content: memoryview, until: float) -> None:
        while content:
            _wait(self._pipes[0], select.POLLOUT, until)
            try:
                content = content[os.write(self._pipes[0], content[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self.died() from None

    def _read(self, size: int, until: float) -> bytearray:
        found = bytearray()
        while len(found) < size:
            _wait(self._pipes[1], select.POLLIN, until)
            try:
                part = os.read(self._pipes[1], min(_CHUNK, size - len(found)))
            except BlockingIOError:
                continue
            if not part:
                raise self.died()
            found += part
        return found


def _wait(pipe: int, for_what: int, until: float) -> None:
    """Until the pipe can be used, or is broken. Raises: TimeoutError."""
    poll = select.poll()
    poll.register(pipe, for_what)
    left = until - time.monotonic()
    if left <= 0 or not poll.poll(max(1, int(left * 1000))):
        raise TimeoutError


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
