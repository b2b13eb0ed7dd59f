"""The site on RSGI, granian's own interface between server and Python.

Source: granian's docs/spec/RSGI.md, version 1.5.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from esteira.serving.http.messages import Response
from esteira.serving.live.availability import NotLoaded

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncIterator, Awaitable, Callable

    from esteira.serving.http.messages import Headers
    from esteira.serving.http.site import Begun, Site
    from esteira.serving.lanes import Lanes

    Pairs = list[tuple[str, str]]
    Later = Awaitable[Response]

DEADLINE_HEADER = "x-esteira-deadline-ms"
BODY_S = 30.0  # for the whole body to come in
_LARGE = 262_144  # bytes of a body that takes milliseconds to read
_BESIDE = 4
_BRINGING = 4  # models that come into memory at once
_BEAT_S = 0.02  # between two looks at how late the event loop is
_LOOK_S = 1.0  # between two looks for bodies that do not come


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

    `deadline_s` is how long a request may wait for its model, unless it says less itself.
    """

    def __init__(self, site: Site, lanes: Lanes, closing: Callable[[], None], *, deadline_s: float) -> None:
        self.site, self._lanes, self._closing, self._deadline_s = site, lanes, closing, deadline_s
        self._draining = site.gateway.live.draining
        self._loop = asyncio.get_running_loop
        self._beside = ThreadPoolExecutor(_BESIDE, "beside")  # what waits: for the disk, for other workers
        self._late_s = 0.0  # how much later than it asked for the loop comes back to us
        self._bringing = ThreadPoolExecutor(_BRINGING, "bringing")
        self._bodies: dict[Exchange, tuple[float, Scope]] = {}  # that are being read, and until when

    def __rsgi_init__(self, loop: AbstractEventLoop) -> None:
        self._beat(loop, monotonic())
        self._look(loop)

    def __rsgi_del__(self, loop: AbstractEventLoop) -> None:
        self._beside.shutdown()
        self._bringing.shutdown(cancel_futures=True)
        self._closing()

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        method, headers = scope.method, scope.headers
        if self._late_s > self._deadline_s:
            reason = "the gateway is overloaded; come back after 1 s"
            self._send(exchange, self.site.refused(method, scope.path, headers, 503, reason))
            return
        body: bytes | None = b""
        if method != "GET":
            body = await self._body(scope, headers.get("content-length"), exchange)
            if self._bodies.pop(exchange, None) is None:
                return  # it did not come whole, or too late, and was told so
        answer = self._answer(scope, headers, body)
        self._send(exchange, answer if isinstance(answer, Response) else await answer)

    def _answer(self, scope: Scope, headers: Headers, body: bytes | None) -> Response | Later:
        """The response, or what it has to be waited for."""
        site, method, path, query = self.site, scope.method, scope.path, scope.query_string
        if body is None:
            return site.too_large(method, path, headers)
        if site.waits(path):
            handle = partial(site.handle, method, path, headers, body, query=query)
            return self._loop().run_in_executor(self._beside, handle)
        if len(body) > _LARGE:
            return self._read_beside(partial(site.begin, method, path, headers, body, query), headers)
        try:
            return self._complete(site.begin(method, path, headers, body, query), headers)
        except NotLoaded as absent:
            again = partial(site.begin, method, path, headers, body, query)
            return self._bring(absent.model, again, headers)

    async def _read_beside(self, begin: Callable[..., Response | Begun], headers: Headers) -> Response:
        """Read a large body while others are answered."""
        try:
            answer = self._complete(await self._loop().run_in_executor(self._beside, begin), headers)
        except NotLoaded as absent:
            return await self._bring(absent.model, begin, headers)
        return answer if isinstance(answer, Response) else await answer

    def _complete(self, begun: Response | Begun, headers: Headers) -> Response | Later:
        if isinstance(begun, Response):
            return begun
        if self._lanes.is_heavy(begun.pending.asked.loaded, begun.pending.work):
            return self._in_lane(begun, headers)
        return self.site.complete(begun)

    async def _bring(self, model: str, begin: Callable[..., Response | Begun], headers: Headers) -> Response:
        """Ask again when the model is in memory; others are answered meanwhile."""
        await self._loop().run_in_executor(self._bringing, self.site.bring, model)
        answer = self._complete(begin(may_wait=False), headers)
        return answer if isinstance(answer, Response) else await answer

    async def _in_lane(self, begun: Begun, headers: Headers) -> Response:
        pending = begun.pending
        try:
            deadline_s = self._deadline(headers.get(DEADLINE_HEADER))
            scored = await self._lanes.score(pending.asked, pending.work, deadline_s)
        except Exception as raised:  # noqa: BLE001 - a door: nothing passes it but a response
            return self.site.fail(begun, raised)
        return self.site.finish(begun, scored)

    def _deadline(self, said: str | None) -> float:
        if said is None or not (said.isascii() and said.isdecimal()) or len(said) > 9:
            return self._deadline_s
        return min(int(said) / 1000, self._deadline_s)

    async def _body(self, scope: Scope, declared: str | None, exchange: Exchange) -> bytes | None:
        limit, size = self.site.max_body_bytes, 0
        chunks: list[bytes] = []
        self._bodies[exchange] = (monotonic() + BODY_S, scope)
        try:
            if declared is not None and declared.isdecimal():
                return await exchange() if int(declared) <= limit else None
            async for chunk in exchange:  # a body of unknown length
                size += len(chunk)
                if size > limit:
                    return None
                chunks.append(chunk)
        except Exception:  # noqa: BLE001 - the server's own: the sender has gone
            if self._bodies.pop(exchange, None) is not None:
                mend = "the body ended before its length; send it whole"
                self._send(exchange, self.site.refused(scope.method, scope.path, scope.headers, 400, mend))
        return b"".join(chunks)

    def _beat(self, loop: AbstractEventLoop, expected: float) -> None:
        now = monotonic()
        self._late_s = max(now - expected, 0.0)
        loop.call_later(_BEAT_S, self._beat, loop, now + _BEAT_S)

    def _look(self, loop: AbstractEventLoop) -> None:
        now = monotonic()
        self.site.gateway.metrics.in_flight.set((), len(self._bodies) + self._lanes.length)
        for exchange, (until, scope) in list(self._bodies.items()):
            if until < now:
                del self._bodies[exchange]
                mend = f"the body did not come within {BODY_S:g} s; send it whole"
                refused = self.site.refused(scope.method, scope.path, scope.headers, 408, mend)
                self._send(exchange, refused)
        loop.call_later(_LOOK_S, self._look, loop)

    def _send(self, exchange: Exchange, response: Response) -> None:
        headers = [("content-type", response.content_type), *response.headers]
        if self._draining.is_draining():
            headers.append(("connection", "close"))
        exchange.response_bytes(response.status, headers, response.body)
