"""Which requests are traced, and where their spans belong. Source: W3C Trace Context, version 00."""

from __future__ import annotations

import random
import re
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from esteira.serving.telemetry.port import Exchange

QUEUE_SPANS = 8_192  # what waits while the collector is slow
_SAMPLED = 1  # the flag of a caller that traces this request

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class Parent:
    """The span of the caller that a `traceparent` header names."""

    trace: int
    span: int
    is_sampled: bool


def parse_traceparent(header: str) -> Parent | None:
    """The caller's span; None when the header is not one, and then a new trace begins.

    >>> parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").is_sampled
    True
    """
    found = _PARENT.fullmatch(header)
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None  # only a later version may append fields
    trace, span, flags = (int(found[at], 16) for at in (2, 3, 4))
    return Parent(trace, span, bool(flags & _SAMPLED)) if trace and span else None


@dataclass(frozen=True, slots=True)
class Traced:
    """An answer to make a span of."""

    exchange: Exchange
    parent: Parent | None


class Traces:
    """Keeps the answers that are traced until they are sent: all that the caller traces, and `share` of
    those whose caller does not say.

    It only chooses and queues, so a collector that does not answer costs a request nothing; beyond
    `capacity` spans are counted in `dropped`. Raises: BadInput.
    """

    name = "traces"

    def __init__(self, share: float, *, capacity: int = QUEUE_SPANS) -> None:
        if not 0 < share <= 1:
            raise BadInput(f"telemetry.traces is a share between 0 and 1, found {share}; 0.01 is one in 100")
        self.dropped = 0
        self._share, self._capacity = share, capacity
        self._counting = threading.Lock()
        self._queue: deque[Traced] = deque()

    def answered(self, exchange: Exchange) -> None:
        """Take note of an answer if it is traced."""
        header = exchange.traceparent
        parent = parse_traceparent(header) if header else None
        if parent.is_sampled if parent is not None else random.random() < self._share:
            if len(self._queue) < self._capacity:
                self._queue.append(Traced(exchange, parent))
            else:
                self.drop(1)

    def take(self, most: int) -> list[Traced]:
        """The oldest that wait, at most so many."""
        return [self._queue.popleft() for _ in range(min(most, len(self._queue)))]

    def drop(self, count: int) -> None:
        """Count what could not be sent; any thread may."""
        with self._counting:
            self.dropped += count

    def close(self) -> None:
        """Take no more: what waits may still be sent."""
        self._capacity = 0
