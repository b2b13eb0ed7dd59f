"""Routes that could not be taken up: why, and when they are tried again."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.serving.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

RETRY_S = 1.0  # after the first failure; twice as long after each further one
LONGEST_S = 60.0


@dataclass(frozen=True, slots=True)
class Failure:
    """Routes that could not be loaded; those before them still serve, if there were any."""

    revision: int
    reason: str
    attempts: int
    retry_at: float  # time.monotonic() seconds


def pause_after(attempts: int) -> float:
    """Seconds until the next try.

    >>> [pause_after(n) for n in (1, 2, 3, 7, 1000)]
    [1.0, 2.0, 4.0, 60.0, 60.0]
    """
    return min(RETRY_S * 2.0 ** min(attempts - 1, 10), LONGEST_S)


class Failures:
    """The failures by model: a mapping that is replaced, never changed in place."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.by_model: Mapping[str, Failure] = {}

    def report(self, model: str, revision: int, failure: Exception) -> Failure:
        """Keep a failure; each revision's is logged and counted once, however often it is tried."""
        known, before = isinstance(failure, EsteiraError), self.by_model.get(model)
        reason = str(failure) if known else "it could not be loaded; the gateway's log says why"
        is_new = before is None or before.revision != revision
        attempts = 1 if before is None or is_new else before.attempts + 1
        kept = Failure(revision, reason, attempts, time.monotonic() + pause_after(attempts))
        self.by_model = {**self.by_model, model: kept}
        if is_new:
            self._metrics.route_failures.add((model,))
            facts = {"model": model, "revision": revision, "reason": str(failure)}
            log.error("routes not taken up", extra=facts, exc_info=None if known else failure)
        return kept

    def forget(self, model: str) -> None:
        """The model serves what it should."""
        if model in self.by_model:
            self.by_model = {name: each for name, each in self.by_model.items() if name != model}

    def is_waiting(self, model: str, revision: int) -> bool:
        """Whether a revision failed so recently that it is not tried again yet."""
        found = self.by_model.get(model)
        return found is not None and found.revision == revision and time.monotonic() < found.retry_at

    def due(self) -> list[str]:
        """The models whose routes are to be tried again now."""
        now = time.monotonic()
        return [model for model, each in self.by_model.items() if now >= each.retry_at]
