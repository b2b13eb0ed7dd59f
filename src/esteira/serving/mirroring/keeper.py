"""Keeps the process of the shadows: there is one while a model has a shadow, and another when it died."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from esteira.serving.live.failures import pause_after
from esteira.serving.mirroring.channel import Channel
from esteira.serving.mirroring.plans import plans_of
from esteira.serving.mirroring.priority import put_last

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.serving.live.table import LiveModel
    from esteira.serving.mirroring.mirror import Mirror

log = logging.getLogger(__name__)

MODULE = "esteira.serving.shadow"
STEADY_S = 60.0  # that a process must have lived for its end to be the first one again
_END_S = 1.0


class Keeper:
    """Starts, watches and ends `python -m esteira.serving.shadow WORDS`. For one thread at a time.

    `hung_s` is how long the process may say nothing of what it was asked before it is killed.
    """

    def __init__(self, mirror: Mirror, words: Sequence[str], hung_s: float) -> None:
        self.mirror, self._words, self._hung_s = mirror, list(words), hung_s
        self._seen: Mapping[str, LiveModel] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = self._again_at = 0.0
        self._deaths = 0

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return None if self._process is None else self._process.pid

    def tick(self, models: Mapping[str, LiveModel]) -> None:
        """Do what the models in memory ask for by now; it does not wait."""
        if models is not self._seen:
            self._seen, self.mirror.plans = models, plans_of(models)
        process = self._process
        if process is None:
            is_free = self.mirror.channel is None  # the last words of the one before were heard
            if self.mirror.plans and is_free and monotonic() >= self._again_at:
                self._start()
        elif (code := process.poll()) is not None:
            self._process = None
            self._note(code)
        elif self._hangs():
            log.error("the process of the shadows hangs; it is ended", extra={"pid": process.pid})
            process.kill()

    def close(self) -> None:
        """Let the process ask what waits, for a short time, and end it."""
        self.mirror.close()
        if self._process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self._process.kill()
        self._process.wait()
        self._process = None

    def _hangs(self) -> bool:
        channel = self.mirror.channel
        if channel is None or not channel.waiting:
            return False
        return monotonic() - channel.moved_at > self._hung_s

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        self._started_at = monotonic()
        with theirs:
            try:
                # -P: what lies in the working directory of the gateway is nothing that a model may import.
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", MODULE, *self._words], stdin=theirs.fileno(), stdout=2
                )
            except OSError as refused:  # no memory, or no process any more
                ours.close()
                self._deaths += 1
                self._again_at = monotonic() + pause_after(self._deaths)
                log.error("the process of the shadows cannot start", extra={"reason": str(refused)})
                return
        put_last(self._process.pid)
        self.mirror.channel = Channel(ours)

    def _note(self, code: int) -> None:
        if code == 0:
            self._deaths = 0
            return
        if monotonic() - self._started_at > STEADY_S:
            self._deaths = 0
        self._deaths += 1
        pause_s = pause_after(self._deaths)
        self._again_at = monotonic() + pause_s
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        facts = {"how": how, "deaths": self._deaths, "again_in_s": pause_s}
        log.error("the process of the shadows ended", extra=facts)
