"""Scores a stream into a table: at least once from the broker, exactly once in the table.

A range of places is written into the journal, then scored and appended under a token made of it, then passed,
then acknowledged. Whoever is killed in between finds the range in the journal and does that one again, not a
longer one: the table knows its token. Which message is the same is told by its place in the stream, never by
the id that it brings: two messages with one id are two rows.

Messages are taken only when those before are written, so there are never more in memory than the limits say.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from esteira.base.errors import ServiceUnreachable
from esteira.serving.live.arms import FeaturesUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from threading import Event

    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.stream_ledger import StreamLedger
    from esteira.serving.stream_results import Written
    from esteira.serving.streams.port import Cursor, Message, Stream

log = logging.getLogger(__name__)
_T = TypeVar("_T")

FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 10.0  # between two tries while a server is away; each is twice the last


class ModelFollowed(Protocol):
    """The version that scores, which may be another one at the next batch."""

    def current(self) -> LoadedArm: ...


class Results(Protocol):
    """Where scores go: `StreamResults`, or what sends them on besides."""

    def write(self, messages: Sequence[Message], token: str, loaded: LoadedArm) -> Written: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one batch, which is all that is in memory."""

    messages: int = 10_000
    size: int = 16 * 1024 * 1024  # bytes of payloads
    linger_s: float = 0.5  # that a batch which is not full is waited for


class Batch(NamedTuple):
    """What one round did; nothing when no message came."""

    scored: int = 0
    rejected: int = 0
    version: str = ""

    @property
    def messages(self) -> int:
        return self.scored + self.rejected


class StreamScorer:
    """Brings one stream into one table, batch by batch."""

    def __init__(
        self,
        stream: Stream,
        model: ModelFollowed,
        results: Results,
        ledger: StreamLedger,
        limits: Limits | None = None,
    ) -> None:
        self._stream, self._model, self._results, self._ledger = stream, model, results, ledger
        self._limits = limits or Limits()

    def step(self) -> Batch:
        """Do the range that was begun, or begin the next.

        Raises: what the stream, the tables, the journal and the model raise; the same call goes on.
        """
        place = self._ledger.read()
        until: Cursor
        if place.planned is None:
            messages = in_order(self._take(place.passed), place.passed)
            if not messages:
                return Batch()
            until = after(place.passed, messages)
            self._ledger.plan(place.passed, until)
        else:
            until = place.planned
            messages = self._again(place.passed, until)
        loaded = self._model.current()
        written = self._results.write(messages, self._ledger.token(place.passed, until), loaded)
        self._ledger.passed(until, len(messages))
        with suppress(ServiceUnreachable):  # it is done all the same; the next word tells the broker of both
            self._stream.acknowledge(until)
        return Batch(*written, loaded.version)

    def behind(self) -> int:
        """How many messages wait, about; 0 only if none does. Raises: ServiceUnreachable."""
        place = self._ledger.read()
        return self._stream.behind(place.passed)

    def run(
        self, stop: Event, heard: Callable[[Batch], object] | None = None, *, until_empty: bool = False
    ) -> None:
        """Go on until `stop` is set, or nothing is left; the batch in hand is always finished.

        While a server is away it is waited for, and the log says so once.
        Raises: StreamTaken, and what `step` raises but for servers that are away.
        """
        with self._ledger.exclusive():
            while not stop.is_set():
                batch = self._patiently(self.step, stop)
                if batch is None:
                    return
                if heard is not None:
                    heard(batch)
                if until_empty and not batch.messages and self._patiently(self.behind, stop) in {0, None}:
                    return

    def _take(self, start: Cursor) -> list[Message]:
        limits = self._limits
        return self._stream.read(start, limits.messages, limits.size, limits.linger_s)

    def _again(self, start: Cursor, until: Cursor) -> list[Message]:
        """The messages of a range that was begun; those that the broker has deleted since are lost."""
        found: list[Message] = []
        at = dict(start)
        while any(at.get(partition, -1) < end for partition, end in until.items()):
            taken = in_order(self._take(at), at)
            found += [message for message in taken if message.position < until.get(message.partition, 0)]
            at = after(at, taken)
            if not taken and not self._stream.behind(at):
                break
        return found

    def _patiently(self, act: Callable[[], _T], stop: Event) -> _T | None:
        """What `act` gives, tried again while a server is away; None when `stop` came first."""
        wait = 0.0
        while True:
            try:
                done = act()
            except (ServiceUnreachable, FeaturesUnreadable) as away:
                if not wait:
                    log.error("scoring of the stream waits: %s", away, extra={"stream": self._stream.address})
                wait = min(max(2 * wait, FIRST_WAIT_S), LONGEST_WAIT_S)
                if stop.wait(wait):
                    return None
            else:
                if wait:
                    log.warning("scoring of the stream goes on", extra={"stream": self._stream.address})
                return done


def in_order(messages: Iterable[Message], start: Cursor) -> list[Message]:
    """The messages from `start` on, each once: what comes again is passed over.

    >>> from esteira.serving.streams.port import Message
    >>> came = [Message(0, position, 0, "", b"") for position in (3, 4, 4, 3, 5)]
    >>> [message.position for message in in_order(came, {0: 4})]
    [4, 5]
    """
    at, kept = dict(start), []
    for message in messages:
        if message.position >= at.get(message.partition, message.position):
            at[message.partition] = message.position + 1
            kept.append(message)
    return kept


def after(start: Cursor, messages: Sequence[Message]) -> dict[int, int]:
    """The cursor behind messages that are in order.

    >>> from esteira.serving.streams.port import Message
    >>> after({0: 4, 1: 9}, [Message(0, 4, 0, "", b""), Message(0, 7, 0, "", b"")])
    {0: 8, 1: 9}
    """
    return {**start, **{message.partition: message.position + 1 for message in messages}}
