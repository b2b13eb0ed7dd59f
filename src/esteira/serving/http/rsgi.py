"""The site on RSGI, granian's own interface between server and Python.

Source: granian's docs/spec/RSGI.md, version 1.5.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Protocol

from esteira.base.errors import BadInput
from esteira.serving.coming import Coming
from esteira.serving.http.messages import Request, Response
from esteira.serving.http.routing import route_of
from esteira.serving.live.availability import NotLoaded

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncIterator, Awaitable, Callable

    from esteira.serving.http.messages import Headers, Pending
    from esteira.serving.http.site import Site
    from esteira.serving.lanes import Lanes

    Pairs = list[tuple[str, str]]
    Later = Awaitable[Response]

DEADLINE_HEADER = "x-esteira-deadline-ms"
BODY_S = 30.0  # for the whole body to come in
_LARGE = 262_144  # bytes of a body that takes milliseconds to read
_BESIDE = 4
_BEAT_S = 0.02  # between two looks at how late the event loop is
_LOOK_S = 1.0  # between two looks for bodies that do not come


class _TooLarge(BadInput):
    """A body over the limit: what its sender is told, the site says."""


class Scope(Protocol):
    """What RSGI says of a request."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query_string(self) -> str: ...
    @property
    def headers(self) -> Headers: ...


class Exchange(Protocol):
    """RSGI's body and response."""

    async def __call__(self) -> bytes: ...
    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def response_bytes(self, status: int, headers: Pairs, body: bytes) -> None: ...


class RsgiApplication:
    """What a server worker calls: `closing` after the last request.

    `deadline_s` is how long a request may wait for its model to be asked, unless it says less itself; a model
    that is not in memory is waited for as long as it takes to load, unless the request says how long.
    """

    def __init__(self, site: Site, lanes: Lanes, closing: Callable[[], None], *, deadline_s: float) -> None:
        self.site, self._lanes, self._closing, self._deadline_s = site, lanes, closing, deadline_s
        self._draining, self._mirror = site.gateway.live.draining, site.gateway.mirror
        self._loop = asyncio.get_running_loop
        self._beside = ThreadPoolExecutor(_BESIDE, "beside")  # what waits: for the disk, for other workers
        self._late_s = 0.0  # how much later than it asked for the loop comes back to us
        self._coming = Coming(site.gateway.live, site.refusals)
        self._bodies: dict[Exchange, tuple[float, Request]] = {}  # that are being read, and until when
        self._now = monotonic()  # about: as the last beat found it

    def __rsgi_init__(self, loop: AbstractEventLoop) -> None:
        self._beat(loop, monotonic())
        self._look(loop)
        self._mirror.attach(loop)

    def __rsgi_del__(self, loop: AbstractEventLoop) -> None:
        self._beside.shutdown(wait=False, cancel_futures=True)  # what it does may wait for others
        self._coming.close()
        self._closing()

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        path = scope.path
        request = Request(route_of(path), scope.headers, b"", scope.method, path, scope.query_string)
        if self._late_s > self._deadline_s:
            reason = "the gateway is overloaded; come back after 1 s"
            self._send(exchange, self.site.refused(request, 503, reason))
            return
        if request.method != "GET":
            self._bodies[exchange] = self._now + BODY_S, request
            try:
                is_measured = self._is_measured(request)
                request.body = await (exchange() if is_measured else self._parts(request, exchange))
            except Exception as raised:  # noqa: BLE001 - the server's own: the sender has gone
                self._cut(exchange, raised)
            if self._bodies.pop(exchange, None) is None:
                return  # it did not come whole, or too late, and was told so
        request.started = perf_counter()
        answer = self._answer(request)
        response = answer if isinstance(answer, Response) else await answer
        self._send(exchange, response)
        if self._mirror.plans and request.asked is not None and response.status == 200:
            self._mirror.take(request.asked, request.route.protocol, request.headers, request.body)

    def _answer(self, request: Request) -> Response | Later:
        """The response, or what it has to be waited for."""
        site = self.site
        if request.route.waits:
            return self._loop().run_in_executor(self._beside, site.respond, request)
        if len(request.body) > _LARGE:
            return self._read_beside(request)
        try:
            return self._complete(site.begin(request))
        except NotLoaded as absent:
            return self._bring(absent.model, request)

    async def _read_beside(self, request: Request) -> Response:
        """Read a large body while others are answered."""
        try:
            answer = self._complete(
                await self._loop().run_in_executor(self._beside, self.site.begin, request)
            )
        except NotLoaded as absent:
            return await self._bring(absent.model, request)
        return answer if isinstance(answer, Response) else await answer

    def _complete(self, begun: Response | Pending) -> Response | Later:
        if isinstance(begun, Response):
            return begun
        if self._lanes.is_heavy(begun.asked.loaded, begun.work):
            return self._in_lane(begun)
        return self.site.complete(begun)

    async def _bring(self, model: str, request: Request) -> Response:
        """Ask again when the model is in memory, or the caller's time is over."""
        with suppress(NotLoaded):
            await self._coming.wait(model, self._left(request))
        begin = partial(self.site.begin, request, may_wait=False)
        is_large = len(request.body) > _LARGE
        begun = await self._loop().run_in_executor(self._beside, begin) if is_large else begin()
        answer = self._complete(begun)
        return answer if isinstance(answer, Response) else await answer

    async def _in_lane(self, pending: Pending) -> Response:
        try:
            left_s = self._left(pending.request)
            deadline_s = self._deadline_s if left_s is None else left_s
            scored = await self._lanes.score(pending.asked, pending.work, deadline_s)
        except Exception as raised:  # noqa: BLE001 - a door: nothing passes it but a response
            return self.site.fail(pending, raised)
        return self.site.finish(pending, scored)

    def _left(self, request: Request) -> float | None:
        """The seconds that are left until a request wants its model to be asked; None: it does not say."""
        said = request.headers.get(DEADLINE_HEADER)
        if said is None or not (said.isascii() and said.isdecimal()) or len(said) > 9:
            return None
        deadline_s = min(int(said) / 1000, self._deadline_s)
        return max(deadline_s - (perf_counter() - request.started), 0.0)

    def _is_measured(self, request: Request) -> bool:
        """Whether the length of the body is known, and within the limit. Raises: _TooLarge."""
        declared = request.headers.get("content-length")
        if declared is None or not declared.isdecimal():
            return False
        if int(declared) > self.site.max_body_bytes:
            raise _TooLarge
        return True

    async def _parts(self, request: Request, exchange: Exchange) -> bytes:
        """A body of unknown length. Raises: _TooLarge, EOFError."""
        limit, size, ends = self.site.max_body_bytes, 0, 0
        most_ends = 1 if request.headers.get("trailer") is None else 2
        chunks: list[bytes] = []
        async for chunk in exchange:
            size += len(chunk)
            ends += not chunk
            if size > limit:
                raise _TooLarge
            # granian ends a whole body with one empty chunk and a broken one with another; but also one that
            # fields follow, which their sender announces.
            if ends > most_ends:
                raise EOFError
            chunks.append(chunk)
        return b"".join(chunks)

    def _cut(self, exchange: Exchange, raised: Exception) -> None:
        """Tell the sender of a body that is not taken, if nobody has yet."""
        found = self._bodies.pop(exchange, None)
        if found is None:
            return
        _, request = found
        if isinstance(raised, _TooLarge):
            self._send(exchange, self.site.too_large(request))
        else:
            mend = "the body ended before its length; send it whole"
            self._send(exchange, self.site.refused(request, 400, mend))

    def _beat(self, loop: AbstractEventLoop, expected: float) -> None:
        now = self._now = monotonic()
        self._late_s = max(now - expected, 0.0)
        loop.call_later(_BEAT_S, self._beat, loop, now + _BEAT_S)

    def _look(self, loop: AbstractEventLoop) -> None:
        now = monotonic()
        self.site.gateway.metrics.in_flight.set((), len(self._bodies) + self._lanes.length)
        for exchange, (until, request) in list(self._bodies.items()):
            if until < now:
                del self._bodies[exchange]
                mend = f"the body did not come within {BODY_S:g} s; send it whole"
                self._send(exchange, self.site.refused(request, 408, mend))
        loop.call_later(_LOOK_S, self._look, loop)

    def _send(self, exchange: Exchange, response: Response) -> None:
        headers = [("content-type", response.content_type), *response.headers]
        if self._draining.is_draining():
            headers.append(("connection", "close"))
        exchange.response_bytes(response.status, headers, response.body)
