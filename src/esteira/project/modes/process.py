"""A mode in a process of its own: it gets an order, says how it goes line by line, ends with its parent."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

import msgspec

from esteira.base.errors import EsteiraError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from esteira.project.modes.scratch import Scratch

_LONGEST_S = 3600.0
_TAIL = 300  # characters of its log that an error quotes


@dataclass(frozen=True, slots=True)
class Order:
    """What the process is to do. `mode` names it in `__main__`."""

    mode: str
    folder: str
    keep: tuple[str, ...] = ()  # of batch: columns that the target has
    at: str = ""  # of batch: the column with the time as of which views are read
    messages: int = 0  # of streaming: that are there


class ModeFailed(EsteiraError):
    """A mode that ended before all was scored."""

    def __init__(self, mode: str, reason: str) -> None:
        super().__init__(f"scoring in {mode} mode ended: {reason}")
        self.mode, self.reason = mode, reason


class ModeProcess:
    """Runs an order; leaving the block ends it. `start_s` is how long it took to say its first word.

    with ModeProcess(scratch, order) as process:
        begun = process.told()
    """

    def __init__(self, scratch: Scratch, order: Order) -> None:
        self._order, self._environment = order, scratch.environment
        self._log: Path = scratch.folder / f"{order.mode}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._launched = 0.0
        self.start_s = 0.0

    def __enter__(self) -> Self:
        self._launched = perf_counter()
        command, pipe = [sys.executable, "-m", "esteira.project.modes"], subprocess.PIPE
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=log, env=dict(self._environment)
            )
        self.ask(self._order)
        self._alarm = threading.Timer(_LONGEST_S, self._process.kill)
        self._alarm.daemon = True
        self._alarm.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._alarm.cancel()
        process = self._running()
        if kind is not None:
            process.kill()
        process.communicate()  # closes what it waits for

    @property
    def pid(self) -> int:
        return self._running().pid

    def ask(self, what: object) -> None:
        """Give it one line. Raises: ModeFailed (it has ended)."""
        stream = self._running().stdin
        assert stream is not None, "it was started with a pipe"
        try:
            stream.write(msgspec.json.encode(what) + b"\n")
            stream.flush()
        except BrokenPipeError as ended:
            raise self._failed() from ended

    def told(self) -> dict[str, Any]:
        """Its next line. Raises: ModeFailed (it has ended, or says why it cannot go on)."""
        stream = self._running().stdout
        assert stream is not None, "it was started with a pipe"
        line = stream.readline()
        self.start_s = self.start_s or perf_counter() - self._launched
        if not line:
            raise self._failed()
        said = msgspec.json.decode(line, type=dict[str, Any])
        if "failed" in said:
            raise ModeFailed(self._order.mode, said["failed"])
        return said

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the block was entered"
        return self._process

    def _failed(self) -> ModeFailed:
        self._running().kill()
        code = self._running().wait()
        tail = self._log.read_text(errors="replace").strip().splitlines()
        return ModeFailed(self._order.mode, tail[-1][:_TAIL] if tail else f"exit code {code}")
