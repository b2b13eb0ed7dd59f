"""The limit: granian alone, which gives back what it is sent: `python -m benchmarks.parts.echo PORT`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from esteira.serving.servers.granian import serve

if TYPE_CHECKING:
    from esteira.serving.http.rsgi import Exchange, Scope

_HEADERS = [("content-type", "application/json")]


class Echo:
    """As little Python as an answer can have."""

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        body = await exchange()
        exchange.response_bytes(200, _HEADERS, body)


def open_echo() -> Echo:
    """What a worker serves."""
    return Echo()


if __name__ == "__main__":
    serve("benchmarks.parts.echo:open_echo", host="127.0.0.1", port=int(sys.argv[1]))
