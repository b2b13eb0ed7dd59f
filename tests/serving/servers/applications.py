"""The smallest applications of both interfaces, which a server's worker makes for itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Send = Callable[[dict[str, Any]], Awaitable[None]]
    Asgi = Callable[[dict[str, Any], Callable[[], Any], Send], Awaitable[None]]


class Rsgi:
    """Answers with the words it was made of and the process it lives in."""

    def __init__(self, *words: str) -> None:
        self.words = words

    async def __rsgi__(self, scope: Any, exchange: Any) -> None:
        exchange.response_bytes(200, [], " ".join([*self.words, str(os.getpid())]).encode())


def rsgi(*words: str) -> Rsgi:
    return Rsgi(*words)


def asgi(*words: str) -> Asgi:
    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        body = " ".join([*words, str(os.getpid())]).encode()
        await send({"type": "http.response.body", "body": body})

    return application


def failing(*_words: str) -> None:
    raise SystemExit(3)
