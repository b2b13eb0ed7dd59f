"""The one thread that pushes to others: whatever they do, no request waits for it."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.serving.telemetry.metrics import Metrics
    from esteira.serving.telemetry.port import Push

log = logging.getLogger(__name__)


class Exporter:
    """Runs every push when it is due, and once more at `close` if its receiver answered the last time.

    A push that fails is counted in `esteira_pushes_failed_total` and said once until one gets through.
    """

    def __init__(self, pushes: Sequence[Push], metrics: Metrics) -> None:
        self._metrics, self._pushes = metrics, pushes
        self._failing: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="exporter", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End with a last push."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        for push in self._pushes:
            if push.name not in self._failing:  # a receiver that is gone must not hold up the end
                self._push(push)
        for push in self._pushes:
            push.close()

    def _run(self) -> None:
        now = time.monotonic()
        due = {push.name: now + push.every_s for push in self._pushes}
        while not self._stop.wait(max(0.0, min(due.values(), default=now + 1.0) - time.monotonic())):
            for push in self._pushes:
                if time.monotonic() >= due[push.name] and not self._stop.is_set():
                    self._push(push)
                    due[push.name] = time.monotonic() + push.every_s

    def _push(self, push: Push) -> None:
        try:
            push.push()
        except Exception as refused:  # noqa: BLE001 - whatever a receiver breaks, the others get theirs
            self._metrics.pushes_failed.add((push.name,))
            if push.name not in self._failing:
                self._failing.add(push.name)
                log.error("a push failed; trying again", extra={"to": push.name, "reason": str(refused)})
        else:
            self._failing.discard(push.name)
