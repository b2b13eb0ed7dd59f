from __future__ import annotations

import socket

import pytest

from esteira.serving.mirroring.channel import Channel
from esteira.serving.mirroring.messages import TOLD, Told, of_told

WHO = ("late", "2")


@pytest.fixture
def ends() -> tuple[Channel, socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(5)
    return Channel(ours), theirs


def test_what_the_other_end_does_not_take_waits_and_nobody_is_held_up(
    ends: tuple[Channel, socket.socket],
) -> None:
    channel, theirs = ends
    content = bytes(range(256)) * 8_000
    channel.send(content)
    assert not channel.is_free
    found = bytearray()
    while len(found) < len(content):
        found += theirs.recv(1 << 20)
        channel.push()
    assert (bytes(found), channel.is_free) == (content, True)


def test_the_last_words_of_a_process_that_ended_are_heard(ends: tuple[Channel, socket.socket]) -> None:
    channel, theirs = ends
    channel.send(b"a question")
    channel.expect(WHO, 3)
    theirs.send(of_told([Told("late", 2, 2, 0)]))
    theirs.close()
    channel.send(b"another")
    assert not channel.is_free
    assert list(channel.heard()) == [(TOLD, [Told("late", 2, 2, 0)])]
    assert channel.is_over
    channel.settle(WHO, 2)
    assert dict(channel.waiting) == {WHO: 1}
    channel.settle(WHO, 1)
    assert not channel.waiting


def test_who_says_what_cannot_be_read_is_heard_no_more(ends: tuple[Channel, socket.socket]) -> None:
    channel, theirs = ends
    theirs.send(b"?" * 100)
    assert list(channel.heard()) == []
    assert channel.is_over


def test_after_the_end_is_said_the_other_end_still_answers(ends: tuple[Channel, socket.socket]) -> None:
    channel, theirs = ends
    channel.finish()
    channel.finish()
    assert theirs.recv(10) == b""
    assert not channel.is_free
    theirs.send(of_told([Told("late", 2, 1, 0)]))
    assert len(list(channel.heard())) == 1
    theirs.close()
    assert list(channel.heard()) == []
    assert channel.is_over
