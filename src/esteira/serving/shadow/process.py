"""The process that asks the shadows of one gateway worker what the worker has answered.

It reads requests from its standard input, a socket, keeps what the shadows say in logs of its own, and tells
the worker how many were answered once that is on disk. It reads no more than it can put down, so whoever is
too slow is seen by the worker as a line that is full. It ends when the worker closes the line, or is gone.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError
from esteira.base.logs import configure_logs
from esteira.base.settings import load_settings
from esteira.features.online import OnlineReader
from esteira.features.stores import open_store
from esteira.monitoring.failure_log import SHADOW_FAILURES, FailureLog
from esteira.monitoring.prediction_log import SHADOWS, PredictionLog
from esteira.pipelines.artifacts import ArtifactStore
from esteira.serving.lifeline import end_with
from esteira.serving.live.arms import load_arm
from esteira.serving.mirroring.messages import ASKED, Frames, of_held, of_told
from esteira.serving.runtimes.permission import Permission, permit
from esteira.serving.shadow.asking import Asking
from esteira.serving.shadow.held import Versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.base.settings import Settings
    from esteira.registry.signature import ViewRef
    from esteira.serving.live.arms import LoadedArm

log = logging.getLogger(__name__)

TELL_S = 0.25  # between two words to the worker, and two syncs of the disk
GATHER_S = 0.01  # for requests to gather: to be woken for each would cost the worker time
HOUR_MS = 3_600_000  # the logs are flushed here, so their own threads have nothing to do
_CHUNK = 1 << 18


def main(arguments: Sequence[str]) -> int:
    """Ask until the line ends; returns the exit code, 1 when a store cannot be opened: the log says which."""
    root, parent, hung_s = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, whose command ends this process itself
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the logs are closed on the way out
    end_with(int(parent))
    line = _take_line()
    settings = load_settings(Path(root))
    configure_logs(settings.log_level)
    url, name = settings.store("predictions"), f"s{os.getpid()}"
    try:
        answers = PredictionLog(url, name, HOUR_MS, SHADOWS)
        failures = FailureLog(url, name, HOUR_MS, SHADOW_FAILURES)
        versions = Versions(open_loads(settings))
    except EsteiraError as refused:
        log.error("the shadows cannot be asked: %s", refused)
        return 1
    try:
        with suppress(ConnectionError):  # the worker is gone
            Line(line, versions, Asking(versions, answers, failures), float(hung_s)).follow()
    finally:
        answers.close()
        failures.close()
    return 0


def open_loads(settings: Settings) -> partial[LoadedArm]:
    """What loads a version from the stores of a project, as a gateway worker does.

    Raises: UnknownScheme, MissingExtra.
    """
    permit(Permission(settings.gateway.allow_pyfunc, settings.gateway.pyfunc_seconds))
    online = cache(partial(open_store, settings.store("online"), readonly=True))

    def reader(views: tuple[ViewRef, ...]) -> OnlineReader:
        return OnlineReader(online(), views)

    bundles = ArtifactStore(settings.store("artifacts")).folder
    return partial(load_arm, bundles=bundles, readers=reader)


class Line:
    """This end of the line to the worker. `hung_s` is how long one batch or load may take."""

    def __init__(self, line: socket.socket, versions: Versions, asking: Asking, hung_s: float) -> None:
        self._line, self._versions, self._asking, self._hung_s = line, versions, asking, hung_s
        self._frames, self._tell_at = Frames(), 0.0

    def follow(self) -> None:
        """Do what the worker says until it says nothing more. Raises: MalformedFrame."""
        while True:
            is_ready, _, _ = select.select([self._line], [], [], self._patience())
            if is_ready:
                piece = self._line.recv(_CHUNK)
                if not piece:
                    break
                self._take(piece)
            if self._versions.due_s == 0:
                self._held()
            if self._asking.has_news and monotonic() >= self._tell_at:
                self._tell()
            elif is_ready:
                sleep(GATHER_S)
        self._tell()

    def _patience(self) -> float | None:
        """The seconds for which there is nothing to do but to listen; None: for ever."""
        waits = [] if self._versions.due_s is None else [self._versions.due_s]
        if self._asking.has_news:
            waits.append(max(self._tell_at - monotonic(), 0.0))
        return min(waits, default=None)

    def _take(self, piece: bytes) -> None:
        for kind, message in self._frames.feed(piece):
            # Ends a model that holds the interpreter, and with it the lifeline, when nobody is left to do it.
            faulthandler.dump_traceback_later(self._hung_s, exit=True)
            if kind == ASKED:
                self._asking.ask(message)  # type: ignore[arg-type] # its kind says what it is
            else:
                self._say(of_held(self._versions.hold(message)))  # type: ignore[arg-type] # its kind says what it is
            faulthandler.cancel_dump_traceback_later()

    def _held(self) -> None:
        faulthandler.dump_traceback_later(self._hung_s, exit=True)
        self._say(of_held(self._versions.again()))
        faulthandler.cancel_dump_traceback_later()

    def _tell(self) -> None:
        told = self._asking.told()
        if told:
            self._say(of_told(told))
        self._tell_at = monotonic() + TELL_S

    def _say(self, frame: bytes) -> None:
        self._line.sendall(frame)


def _take_line() -> socket.socket:
    """Standard input for frames alone: whoever reads now gets another stream."""
    line = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return line
