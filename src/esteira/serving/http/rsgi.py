"""The site on RSGI, granian's own interface between server and Python.

Source: granian's docs/spec/RSGI.md, version 1.5.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncIterator, Callable

    from esteira.serving.http.messages import Headers, Response
    from esteira.serving.http.site import Site

    Pairs = list[tuple[str, str]]


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
    """What a server worker calls: `closing` after the last request."""

    def __init__(self, site: Site, closing: Callable[[], None]) -> None:
        self.site, self._closing = site, closing
        self._beside = ThreadPoolExecutor(1, "beside")  # what waits for the disk, one after the other

    def __rsgi_del__(self, loop: AbstractEventLoop) -> None:
        self._beside.shutdown()
        self._closing()

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        method, headers = scope.method, scope.headers
        body: bytes | None = b""
        if method != "GET":
            body = await self._body(headers.get("content-length"), exchange)
        if body is None:
            response = self.site.too_large(scope.path)
        elif self.site.waits(scope.path):
            handle = partial(self.site.handle, query=scope.query_string)
            loop = asyncio.get_running_loop()
            response = await loop.run_in_executor(self._beside, handle, method, scope.path, headers, body)
        else:
            response = self.site.handle(method, scope.path, headers, body, query=scope.query_string)
        exchange.response_bytes(response.status, _headers(response), response.body)

    async def _body(self, declared: str | None, exchange: Exchange) -> bytes | None:
        limit = self.site.max_body_bytes
        if declared is not None and declared.isdecimal():
            return await exchange() if int(declared) <= limit else None
        chunks, size = [], 0
        async for chunk in exchange:  # a body of unknown length
            size += len(chunk)
            if size > limit:
                return None
            chunks.append(chunk)
        return b"".join(chunks)


def _headers(response: Response) -> Pairs:
    return [("content-type", response.content_type), *response.headers]
