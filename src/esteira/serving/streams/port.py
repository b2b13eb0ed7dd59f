"""A stream as a scorer sees it: messages that keep their places, and are read from any place in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Cursor = Mapping[int, int]  # partition → the position of its next message


class Message(NamedTuple):
    """One message; partition and position are its name, and no other message ever has the same."""

    partition: int
    position: int  # grows along a partition, by one or more
    at: int  # UTC microseconds: when the broker took it
    key: str
    payload: bytes


class StreamMadeAnew(BadInput):
    """A stream that ends before the place up to which it was read: its messages are others now."""

    def __init__(self, address: str, passed: int, end: int, mend: str) -> None:
        super().__init__(f"{address} ends at {end} and was read up to {passed}: it was made anew; {mend}")
        self.address, self.passed, self.end = address, passed, end


class Stream(Protocol):
    """Messages in partitions. Where a reader stands is the reader's to keep, not the broker's.

    `identity` names the stream for whoever keeps that: it is another one when the stream was deleted and made
    again under the same name. `address` is for people, without credentials. When the broker was away, the
    next call after its return finds it.
    """

    identity: str
    address: str

    def read(self, start: Cursor, most: int, size: int, wait_s: float) -> list[Message]:
        """The messages from `start` on, in order within each partition, each once.

        It returns when there are `most`, or they hold `size` bytes (and at most one message more), or after
        `wait_s`; with nothing when nothing came. A partition that `start` lacks is read from its oldest
        message. What the broker no longer keeps is passed over, and the log says so.
        Raises: ServiceUnreachable, StreamMadeAnew, CorruptArtifact.
        """
        ...

    def behind(self, start: Cursor) -> int:
        """How many messages there are from `start` on, about; 0 only if there are none.

        Raises: ServiceUnreachable.
        """
        ...

    def acknowledge(self, until: Cursor) -> None:
        """Tell the broker that all before `until` is done, where it has a place for that.

        Raises: ServiceUnreachable.
        """
        ...

    def publish(self, payloads: Sequence[bytes], keys: Sequence[str] = ()) -> None:
        """Add messages, durably before it returns; after an error some may be there.

        Raises: ServiceUnreachable, StorageUnwritable, BadInput (too large).
        """
        ...

    def close(self) -> None:
        """Let the broker go."""
        ...
