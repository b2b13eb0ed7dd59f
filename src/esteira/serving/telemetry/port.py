"""What watches the answers of a gateway, and what pushes its numbers somewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)
class Exchange:
    """One request and its answer, without anything that a client could have put a person into.

    The model, version and arm are those that answered, empty when none did: never what a path named.
    """

    method: str
    route: str  # the template, such as /v2/models/{model}/infer; empty when nothing is there
    protocol: str
    status: int
    started: int  # UTC microseconds
    seconds: float
    model: str = ""
    version: str = ""
    arm: str = ""
    predict_seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    rows: int = 0
    caller: str = ""  # the name that the operator gave a key
    traceparent: str = ""  # the header, as the client sent it


class Observer(Protocol):
    """Hears of every answer, on the thread that gave it: so it only takes note, and never raises."""

    name: str
    dropped: int  # answers that it had no room for

    def answered(self, exchange: Exchange) -> None: ...
    def close(self) -> None: ...


class Push(Protocol):
    """Sends something from time to time, on the exporter's thread."""

    name: str
    every_s: float

    def push(self) -> None:
        """Raises: whatever the receiver breaks; the exporter says it once and goes on."""

    def close(self) -> None: ...
