"""The mirror of a worker: answered requests, kept for a moment, then handed to the process of the shadows.

All it does on the thread of the requests is to keep what is there already and to hand it over in batches,
each one call of the system that never waits. A process that is slow or hangs fills the queue; what comes when
that is full is dropped. Each request that a shadow was to be asked is counted once, as mirrored, and once
more when it is known what became of it: answered, failed, dropped, or lost with a process that ended.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from esteira.serving.mirroring.messages import HELD, TOLD, Mirrored, of_asked, of_targets

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Mapping, Sequence

    from esteira.serving.access.guard import Headers
    from esteira.serving.mirroring.channel import Channel
    from esteira.serving.mirroring.messages import Held, Told
    from esteira.serving.mirroring.plans import Chosen, Group, Plan, Target
    from esteira.serving.telemetry.metrics import Metrics

    Taken = tuple[Chosen, str, Headers, bytes]

log = logging.getLogger(__name__)

QUEUE_REQUESTS, QUEUE_BYTES = 8_192, 32 * 1024 * 1024
BATCH_REQUESTS, BATCH_BYTES = 32, 128 * 1024
BEAT_S = 0.02
CLOSE_S = 2.0  # for what waits to be asked, when the worker ends
ANSWERED, FAILED, DROPPED, LOST = "answered", "failed", "dropped", "lost"
# What each door must know besides the body.
_HEADERS = {"mlflow": "content-type", "oip": "inference-header-content-length", "grpc": ""}
_tuple = tuple.__new__  # a named tuple's own is a function in Python, on the path of every request


class Mirror:
    """Takes requests and hands them on. `take` and `beat` are for the thread that answers requests."""

    def __init__(
        self, metrics: Metrics, *, most: int = QUEUE_REQUESTS, most_bytes: int = QUEUE_BYTES
    ) -> None:
        self.plans: Mapping[str, Plan] = {}  # by model; replaced, never changed
        self.channel: Channel | None = None  # while there is a process
        self._metrics, self._most, self._most_bytes = metrics, most, most_bytes
        self._queue: deque[Taken] = deque()
        self._bytes, self._enough = 0, BATCH_REQUESTS
        self._said: Mapping[str, Plan] | None = None  # what the process knows
        self._shown: set[Target] = set()
        self._shown_length = -1

    def attach(self, loop: AbstractEventLoop) -> None:
        """Look after the queue on an event loop, from now on."""
        loop.call_later(BEAT_S, self.attach, loop)
        self.beat()

    def take(self, chosen: Chosen, door: str, headers: Headers, body: bytes) -> None:
        """Keep a request that was answered, if its model has shadows."""
        if chosen.model not in self.plans:
            return
        queue = self._queue
        if len(queue) >= self._most or self._bytes >= self._most_bytes:
            self._drop(chosen, headers)
            return
        queue.append((chosen, door, headers, body))
        self._bytes += len(body)
        if len(queue) >= self._enough:
            self._hand_over()

    def beat(self) -> None:
        """Hear the process, hand on what waits, and let it end when there is no shadow any more."""
        self._look_after()
        length = len(self._queue)
        if length != self._shown_length and (self.plans or self._shown_length > 0):
            self._shown_length = length
            self._metrics.shadow_queue.set((), length)

    def _look_after(self) -> None:
        channel = self.channel
        if channel is None:
            if self._queue and not self.plans:
                self._forget()
            return
        self._hear(channel)
        if channel.is_over:
            self._end(channel)
            return
        channel.push()
        self._hand_over()
        if not self.plans and channel.is_free:
            self._forget()
            channel.finish()

    def close(self, seconds: float = CLOSE_S) -> None:
        """Hand on what waits, hear what becomes of it for at most so long, and count the rest."""
        until = time.monotonic() + seconds
        while (channel := self.channel) is not None and time.monotonic() < until:
            self.beat()
            if not self._queue and channel.is_free:
                channel.finish()
            time.sleep(BEAT_S / 4)
        if channel is not None:
            channel.close()
            self._end(channel)
        while self._queue:
            self._drop(*self._queue.popleft()[::2])
        self._bytes, self.plans = 0, {}

    def _hand_over(self) -> None:
        """Send batches as long as they leave at once."""
        channel, self._enough = self.channel, BATCH_REQUESTS
        if channel is None:
            self._enough = self._most  # no look before the next beat
            return
        if self._said is not self.plans and channel.is_free:
            self._say(channel)
        while self._queue and channel.is_free:
            batch = self._batch(channel)
            if batch:
                channel.send(of_asked(batch))
        if self._queue:
            self._enough = self._most

    def _batch(self, channel: Channel) -> list[Mirrored]:
        batch: list[Mirrored] = []
        counts: dict[Group, int] = {}
        queue, plans, size = self._queue, self.plans, 0
        while queue and len(batch) < BATCH_REQUESTS and size < BATCH_BYTES:
            chosen, door, headers, body = queue.popleft()
            self._bytes -= len(body)
            plan = plans.get(chosen.model)
            group = None if plan is None else plan.of(chosen, headers)
            if group is None:
                continue
            name = _HEADERS[door]
            header = headers.get(name) if name else None
            who = chosen.id, chosen.key, chosen.at, chosen.revision
            batch.append(_tuple(Mirrored, (group.names, chosen.model, door, header, body, *who)))
            counts[group] = counts.get(group, 0) + 1
            size += len(body)
        for group, count in counts.items():
            for labels in group.labels:
                self._metrics.shadow_mirrored.add(labels, count)
                channel.expect(labels, count)
        return batch

    def _say(self, channel: Channel) -> None:
        self._said = self.plans
        targets = [target for plan in self._said.values() for target in plan.targets]
        for gone in self._shown.difference(targets):
            self._metrics.shadow_info.forget(_labels(gone))
        for new in set(targets) - self._shown:
            self._metrics.shadow_info.set(_labels(new), 0.0)
        self._shown = set(targets)
        channel.send(of_targets(targets))

    def _hear(self, channel: Channel) -> None:
        for kind, message in channel.heard():
            if kind == TOLD:
                self._count(channel, message)  # type: ignore[arg-type] # its kind says what it is
            elif kind == HELD:
                self._show(message)  # type: ignore[arg-type] # its kind says what it is

    def _count(self, channel: Channel, told: Sequence[Told]) -> None:
        for each in told:
            who = each.model, str(each.version)
            channel.settle(who, each.answered + each.failed)
            for outcome, count in ((ANSWERED, each.answered), (FAILED, each.failed)):
                if count:
                    self._metrics.shadow_requests.add((*who, outcome), count)

    def _show(self, held: Sequence[Held]) -> None:
        for target, is_held in held:
            if target in self._shown:
                self._metrics.shadow_info.set(_labels(target), float(is_held))

    def _end(self, channel: Channel) -> None:
        """The process has ended: what it did not speak of is lost."""
        lost = +channel.waiting
        for who, count in lost.items():
            self._metrics.shadow_requests.add((*who, LOST), count)
        if lost:
            log.error("requests were lost with the process of the shadows", extra={"lost": lost.total()})
        for target in self._shown:
            self._metrics.shadow_info.set(_labels(target), 0.0)
        self._said = None
        self.channel = None

    def _drop(self, chosen: Chosen, headers: Headers) -> None:
        plan = self.plans.get(chosen.model)
        group = None if plan is None else plan.of(chosen, headers)
        if group is None:
            return
        for labels in group.labels:
            self._metrics.shadow_mirrored.add(labels)
            self._metrics.shadow_requests.add((*labels, DROPPED))

    def _forget(self) -> None:
        self._queue.clear()
        self._bytes = 0


def _labels(target: Target) -> tuple[str, ...]:
    return target.model, str(target.version), target.name, target.digest
