"""What every stream must do."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from esteira.serving.streaming import after, in_order
from esteira.serving.streams import open_stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from esteira.serving.streams.port import Message, Stream

WIDE = 1 << 24  # bytes
PATIENCE_S = 20.0


def read_all(
    stream: Stream, count: int, start: Mapping[int, int] | None = None, most: int = 100
) -> list[Message]:
    """So many messages from a place on, in as many reads as that takes."""
    at = dict(start or {})
    found: list[Message] = []
    until = time.monotonic() + PATIENCE_S
    while len(found) < count:
        assert time.monotonic() < until, f"only {len(found)} of {count} came"
        taken = stream.read(at, min(most, count - len(found)), WIDE, wait_s=0.3)
        assert in_order(taken, at) == taken
        found += taken
        at = after(at, taken)
    return found


def payloads(messages: list[Message]) -> list[bytes]:
    return [message.payload for message in messages]


class StreamContract:
    @pytest.fixture(autouse=True)
    def _streams(self, tmp_path: Path) -> Iterator[None]:
        self.opened: list[Stream] = []
        self.url = self.make(tmp_path)
        yield
        for stream in self.opened:
            stream.close()
        self.unmake()

    def make(self, folder: Path) -> str:
        """The URL of a stream without messages."""
        raise NotImplementedError

    def unmake(self) -> None:
        """Delete what was made."""

    def open(self) -> Stream:
        self.opened.append(open_stream(self.url))
        return self.opened[-1]

    def filled(self, count: int) -> tuple[Stream, list[bytes]]:
        """A stream with messages of one key, so that they are in one partition."""
        stream, sent = self.open(), [f"message {number}".encode() for number in range(count)]
        stream.publish(sent, ["k"] * count)
        return stream, sent

    def test_what_is_published_is_read_in_order_and_each_message_once(self) -> None:
        stream, sent = self.filled(250)
        found = read_all(stream, 250)
        assert payloads(found) == sent
        assert {message.key for message in found} == {"k"}
        assert abs(found[0].at / 1e6 - time.time()) < 60
        assert stream.read(after({}, found), 10, WIDE, wait_s=0.3) == []

    def test_any_bytes_come_back_as_they_were(self) -> None:
        sent = [b"\x00\xff\xc3\x28", "ação".encode(), b"{}", b"x" * 200_000]
        stream = self.open()
        stream.publish(sent, ["k"] * len(sent))
        assert payloads(read_all(stream, len(sent))) == sent

    def test_to_publish_nothing_adds_nothing(self) -> None:
        stream, sent = self.filled(2)
        stream.publish(())
        assert payloads(read_all(stream, 2)) == sent
        assert stream.behind({}) == 2

    def test_a_key_of_any_characters_is_only_a_key(self) -> None:
        stream, _ = self.filled(0)
        for payload in (b"one", b"two"):
            stream.publish([payload], ["k\r\nNats-Msg-Id: 7"])
        assert payloads(read_all(stream, 2)) == [b"one", b"two"]

    def test_reading_from_any_place_gives_what_follows_it(self) -> None:
        stream, _ = self.filled(60)
        whole, chance = read_all(stream, 60), random.Random(7)
        for _ in range(8):
            first = chance.randrange(60)
            count = chance.randint(1, 60 - first)
            at = {**after({}, whole), whole[first].partition: whole[first].position}
            assert read_all(stream, count, at) == whole[first : first + count]

    def test_a_read_brings_no_more_than_is_asked_for(self) -> None:
        stream, _ = self.filled(40)
        assert len(stream.read({}, 7, WIDE, wait_s=5.0)) == 7
        large = self.open()
        large.publish([b"y" * 10_000] * 20, ["k"] * 20)
        found = read_all(stream, 40)
        taken = stream.read(after({}, found), 20, 30_000, wait_s=1.0)
        assert 1 <= len(taken) <= 4

    def test_nothing_is_waited_for_longer_than_said(self) -> None:
        stream = self.open()
        begun = time.monotonic()
        assert stream.read({}, 10, WIDE, wait_s=0.4) == []
        assert 0.3 < time.monotonic() - begun < 3.0

    def test_a_message_that_comes_while_one_waits_is_brought(self) -> None:
        stream, other = self.open(), self.open()
        later = threading.Timer(0.3, other.publish, ([b"late"],))
        later.start()
        begun = time.monotonic()
        found = stream.read({}, 1, WIDE, wait_s=10.0)
        later.join()
        assert payloads(found) == [b"late"]
        assert time.monotonic() - begun < 5.0

    def test_what_another_process_would_publish_is_seen_by_who_reads_already(self) -> None:
        stream, _ = self.filled(5)
        found = read_all(stream, 5)
        self.open().publish([b"more"], ["k"])
        (more,) = read_all(stream, 1, after({}, found))
        assert (more.payload, more.partition) == (b"more", found[-1].partition)
        assert more.position > found[-1].position

    def test_how_many_are_behind_is_told_and_none_only_at_the_end(self) -> None:
        stream, _ = self.filled(30)
        assert stream.behind({}) == 30
        found = read_all(stream, 10)
        assert stream.behind(after({}, found)) == 20
        found += read_all(stream, 20, after({}, found))
        assert stream.behind(after({}, found)) == 0

    def test_acknowledging_changes_nothing_for_who_reads_again(self) -> None:
        stream, sent = self.filled(20)
        found = read_all(stream, 20)
        stream.acknowledge(after({}, found[:10]))
        stream.acknowledge(after({}, found))
        stream.acknowledge({})
        assert payloads(read_all(self.open(), 20)) == sent

    def test_a_stream_keeps_its_identity_and_shows_where_it_is(self) -> None:
        stream, again = self.open(), self.open()
        assert stream.identity == again.identity
        assert stream.address in self.url
