"""The load generator: one thread, non-blocking keep-alive connections, requests whose bytes are made before.

It shares the machine with the server that it loads, so what it does for one request is little: one send, one
receive, one comparison of lengths, one time in a list.
"""

from __future__ import annotations

import socket
from collections import deque
from contextlib import suppress
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import msgspec

from esteira.base.errors import ServiceUnreachable
from esteira.base.files import write_atomic
from esteira.base.optional import load
from esteira.serving.load.arrivals import due_times
from esteira.serving.load.plan import LoadReport
from esteira.serving.load.polling import READ, WRITE, Poller
from esteira.serving.load.wire import NotHttp, Responses, request_bytes, split_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.serving.load.plan import LoadPlan

_CHUNK = 1 << 16  # bytes that are read at once
_LOOK_S = 0.05  # between two looks for time-outs and for connections to open again
_FOLD = 65_536  # latencies that wait for the histogram
_CONNECT_S = 2.0


class Lane:
    """One connection and the request that is in flight on it."""

    __slots__ = ("asked", "due", "fd", "is_busy", "receive", "responses", "rest", "send", "sent", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, _CONNECT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0.0)
        self.fd = self.socket.fileno()
        self.send, self.receive = self.socket.send, self.socket.recv
        self.responses = Responses()
        self.rest = memoryview(b"")  # of a request that the kernel did not take at once
        self.due = self.sent = 0.0  # moments: when the request should have left, and when it did
        self.asked = 0  # its place among what is asked
        self.is_busy = False


class Generator:
    """Sends what a plan says, and counts."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan, self._is_closed = plan, plan.rate is None
        host, port, _ = split_url(plan.url)
        self._address = host, port
        base = plan.url.rstrip("/")
        self._bytes = [
            request_bytes(base + ask.path, ask.body, plan.headers, ask.method) for ask in plan.asks
        ]
        self._order = plan.order or tuple(range(len(plan.asks)))
        self._check: Callable[[int, bytes, int], str] | None = load(plan.check) if plan.check else None
        self._kept: dict[int, bytes] | None = {} if plan.keep else None
        self._poller, self._lanes = Poller(), dict[int, Lane]()
        self._idle: deque[Lane] = deque()
        self._missing = 0  # connections that could not be opened
        self._turn = 0
        self._begin = self._end = self._look = self._last = 0.0
        self._taken: list[float] = []
        self._refused: list[float] = []
        self.report = LoadReport(plan.seconds)

    def run(self) -> LoadReport:
        """Warm up, load, wait for what is in flight, keep the answers if that is wanted.

        Raises: ServiceUnreachable, NotHttp, StorageUnwritable.
        """
        spent = process_time()
        try:
            self._idle.extend(self._open() for _ in range(self._plan.connections))
        except OSError as refused:
            raise ServiceUnreachable("the server", self._plan.url, str(refused)) from refused
        self._last = start = perf_counter()
        self._begin = start + self._plan.warmup_s
        self._end = self._begin + self._plan.seconds
        try:
            if self._is_closed:
                self._closed_loop()
            else:
                self._open_loop(start)
            self._drain()
        finally:
            for lane in self._lanes.values():
                lane.socket.close()
        self._fold()
        self.report.sent, self.report.cpu_seconds = self._turn, process_time() - spent
        self.report.busy_s = self._last - start
        if self._kept is not None:
            write_atomic(Path(self._plan.keep), msgspec.msgpack.encode(self._kept))
        return self.report

    def _closed_loop(self) -> None:
        while (now := perf_counter()) < self._end and self._turn < self._plan.most_requests:
            while self._idle:
                self._ask(self._idle.popleft(), now, now)
            self._step(min(_LOOK_S, self._end - now))

    def _open_loop(self, start: float) -> None:
        due = due_times(self._plan, start, self._end)
        upcoming = next(due, self._end)
        late: deque[float] = deque()  # due, but every connection is busy
        while (now := perf_counter()) < self._end and self._turn < self._plan.most_requests:
            while upcoming <= now:
                late.append(upcoming)
                upcoming = next(due, self._end + 1.0)
            while late and self._idle:
                self._ask(self._idle.popleft(), late.popleft(), now)
            self._step(max(0.0, min(_LOOK_S, min(upcoming, self._end) - perf_counter())))
        unsent = sum(each >= self._begin for each in late)
        if unsent:
            self.report.errors["unsent"] = unsent

    def _drain(self) -> None:
        """Answers to what was sent before the end still count."""
        while (now := perf_counter()) < self._end + self._plan.timeout_s:
            if not any(lane.is_busy for lane in self._lanes.values()):
                return
            self._step(min(_LOOK_S, max(0.0, self._end + self._plan.timeout_s - now)))
        for lane in [lane for lane in self._lanes.values() if lane.is_busy]:
            self._lose(lane, "timeout")

    def _ask(self, lane: Lane, due: float, now: float) -> None:
        order = self._order
        lane.asked = order[self._turn % len(order)]
        self._turn += 1
        lane.due, lane.sent, lane.is_busy = due, now, True
        whole = self._bytes[lane.asked]
        try:
            sent = lane.send(whole)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lose(lane, "reset")
            return
        if sent < len(whole):
            lane.rest = memoryview(whole)[sent:]
            self._poller.modify(lane.fd, READ | WRITE)

    def _step(self, seconds: float) -> None:
        lanes = self._lanes
        for fd, ready in self._poller.wait(seconds):
            lane = lanes.get(fd)
            if lane is None:
                continue
            if ready & WRITE and lane.rest:
                self._send_rest(lane)
            if ready & ~WRITE and lane.fd in lanes:
                self._receive(lane)
        if perf_counter() > self._look:
            self._tend()

    def _send_rest(self, lane: Lane) -> None:
        try:
            lane.rest = lane.rest[lane.send(lane.rest) :]
        except BlockingIOError:
            return
        except OSError:
            self._lose(lane, "reset")
            return
        if not lane.rest:
            self._poller.modify(lane.fd, READ)

    def _receive(self, lane: Lane) -> None:
        try:
            data = lane.receive(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._lose(lane, "reset")
            return
        if not data:
            self._lose(lane, "cut" if lane.responses.is_begun else "closed")
            return
        try:
            status = lane.responses.feed(data)
        except NotHttp:
            self._lose(lane, "not http")
            return
        if status:
            self._answered(lane, status, perf_counter())

    def _answered(self, lane: Lane, status: int, now: float) -> None:
        lane.is_busy, self._last = False, now
        if (now if self._is_closed else lane.due) >= self._begin:
            self._count(lane, status, now)
        elif now >= self._begin and status < 300:
            self.report.in_window += now <= self._end
        if lane.responses.is_last:
            self._close(lane)
        elif self._is_closed and now < self._end and self._turn < self._plan.most_requests:
            self._ask(lane, now, now)
        else:
            self._idle.append(lane)

    def _count(self, lane: Lane, status: int, now: float) -> None:
        report = self.report
        report.answers[status] = report.answers.get(status, 0) + 1
        if 200 <= status < 300:
            report.in_window += now <= self._end
            self._taken.append(now - lane.due)
            if self._kept is not None:
                self._kept[lane.asked] = lane.responses.body
            if len(self._taken) > _FOLD:
                self._fold()
        elif status in {429, 503}:
            self._refused.append(now - lane.sent)
        if self._check is not None:
            wrong = self._check(status, lane.responses.body, lane.asked)
            if wrong:
                report.wrong[wrong] = report.wrong.get(wrong, 0) + 1

    def _lose(self, lane: Lane, kind: str) -> None:
        """A connection that ended; if a request was in flight, it has no answer."""
        if lane.is_busy and lane.due >= self._begin:
            self.report.errors[kind] = self.report.errors.get(kind, 0) + 1
        self._close(lane)

    def _close(self, lane: Lane) -> None:
        lane.is_busy = False
        with suppress(ValueError):
            self._idle.remove(lane)
        del self._lanes[lane.fd]
        self._poller.unregister(lane.fd)
        lane.socket.close()
        self._missing += 1
        self._reopen()

    def _open(self) -> Lane:
        lane = Lane(self._address)
        self._lanes[lane.fd] = lane
        self._poller.register(lane.fd, READ)
        return lane

    def _reopen(self) -> None:
        while self._missing and perf_counter() < self._end:
            try:
                self._idle.append(self._open())
            except OSError:  # asked again at the next look; nothing was sent, so nothing was lost
                self.report.errors["refused"] = self.report.errors.get("refused", 0) + 1
                return
            self._missing -= 1

    def _tend(self) -> None:
        now = perf_counter()
        self._look = now + _LOOK_S
        for lane in [each for each in self._lanes.values() if each.is_busy]:
            if now - lane.sent > self._plan.timeout_s:
                self._lose(lane, "timeout")
        self._reopen()

    def _fold(self) -> None:
        self.report.latency.record(self._taken)
        self.report.refusals.record(self._refused)
        self._taken, self._refused = [], []
