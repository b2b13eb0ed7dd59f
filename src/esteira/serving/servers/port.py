"""What a server is told besides its application and its address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def _nothing() -> None:
    """What a server does that needs not be told."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What a server grants its callers, and how it ends."""

    header_ms: int = 30_000  # for a request's head to come in; a connection that takes longer is closed
    connections: int = 1_024  # open at once in each worker; further ones wait until one is closed
    drain_s: float = 0.0  # between SIGTERM and the end, in which requests are still served
    stop_s: int = 3  # then, for requests in flight
    on_ending: Callable[[], None] = _nothing  # called in the first process as soon as SIGTERM comes
