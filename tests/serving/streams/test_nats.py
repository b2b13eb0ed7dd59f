"""NATS JetStream as a stream: the machine's server for what is common, own servers for what dies."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.contracts.stream import WIDE, StreamContract, payloads, read_all
from tests.serving.streams.brokers import NatsServer, NatsStreams, shared_nats

from esteira.base.errors import BadInput, NotFound, ServiceUnreachable
from esteira.serving.streaming import after
from esteira.serving.streams import open_stream
from esteira.serving.streams.port import StreamMadeAnew

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow  # a real server


class TestNatsStream(StreamContract):
    def make(self, folder: Path) -> str:
        self.server = shared_nats()
        return self.server.make()

    def unmake(self) -> None:
        self.server.close()


class TestDurableNatsStream(TestNatsStream):
    def make(self, folder: Path) -> str:
        return f"{super().make(folder)}&durable=scorer"


@pytest.fixture
def server() -> Iterator[NatsStreams]:
    found = shared_nats()
    yield found
    found.close()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[NatsServer]:
    """A server of this test alone, which may be killed."""
    found = NatsServer(tmp_path / "nats")
    (tmp_path / "nats").mkdir()
    found.start()
    yield found
    found.kill()


def name_of(url: str) -> str:
    return url.rpartition("/")[2].partition("?")[0]


def test_only_the_messages_of_the_subject_are_read(server: NatsStreams) -> None:
    url = server.make()
    name = name_of(url)
    for number in range(6):
        server.publish(f"{name}.{'in' if number % 2 else 'out'}", str(number).encode())
    stream = open_stream(url)
    found = read_all(stream, 3)
    assert payloads(found) == [b"1", b"3", b"5"]
    assert [message.position for message in found] == [2, 4, 6]
    assert stream.behind({0: 3}) == 2
    stream.close()


def test_a_durable_consumer_shows_what_was_acknowledged(server: NatsStreams) -> None:
    url = f"{server.make()}&durable=scorer"
    stream = open_stream(url)
    stream.publish([str(number).encode() for number in range(30)])
    found = read_all(stream, 20, most=10)
    stream.acknowledge(after({}, found))
    stream.behind({0: 21})  # an answer of the server, so that it has heard the word before
    (consumer,) = server.consumers(name_of(url))
    assert (consumer.name, consumer.ack_floor.stream_seq, consumer.num_pending) == ("scorer", 20, 10)
    again = open_stream(url)
    assert again.read({0: 21}, 100, WIDE, 0.5)[0].position == 21  # at once, not after its time to acknowledge
    stream.close()
    again.close()


def test_the_consumer_of_somebody_else_is_left_alone(server: NatsStreams) -> None:
    url = server.make()
    server.add_consumer(name_of(url), "theirs")
    stream = open_stream(f"{url}&durable=theirs")
    with pytest.raises(BadInput, match="somebody else's; name another"):
        stream.read({}, 1, WIDE, 0.1)
    stream.close()


def test_a_stream_that_was_made_again_has_another_identity(server: NatsStreams) -> None:
    url = server.make()
    stream = open_stream(url)
    stream.publish([b"old"] * 5)
    read_all(stream, 5)
    server.delete(name_of(url))
    server.make(name_of(url))
    again = open_stream(url)
    assert again.identity != stream.identity
    with pytest.raises(StreamMadeAnew, match="start the scorer again"):
        stream.read({0: 3}, 10, WIDE, 0.2)
    again.publish([b"new"])
    assert payloads(read_all(again, 1)) == [b"new"]
    stream.close()
    again.close()


def test_messages_that_the_server_deleted_are_passed_over_and_logged(
    server: NatsStreams, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.make()
    stream = open_stream(url)
    stream.publish([str(number).encode() for number in range(10)])
    server.purge(name_of(url), before=7)
    assert stream.read({0: 3}, 10, WIDE, 0.2)[0].position == 7
    assert [record.levelname for record in caplog.records if "gone" in record.message] == ["ERROR"]
    stream.close()


def test_a_message_larger_than_asked_for_comes_alone(server: NatsStreams) -> None:
    stream = open_stream(server.make())
    stream.publish([b"x" * 50_000] * 3)
    assert len(stream.read({}, 10, 1_000, 2.0)) == 1
    stream.close()


def test_what_is_wrong_with_a_url_is_said_with_its_mend(
    server: NatsStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFound, match="nats stream add NONESUCH"):
        open_stream(f"nats://{server.host}/NONESUCH")
    with pytest.raises(ServiceUnreachable, match="start it or correct its URL"):
        open_stream("nats://127.0.0.1:9/ORDERS")
    url = server.make(retention="workqueue")
    with pytest.raises(BadInput, match="--source"):
        open_stream(url)
    wide = server.make().partition("?")[0]
    with pytest.raises(BadInput, match=r"\?subject="):
        open_stream(wide).publish([b"x"])


def test_a_password_is_taken_from_the_environment_and_is_in_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "secured").mkdir()
    server = NatsServer(tmp_path / "secured", "--user", "ana", "--pass", "s3cret-word")
    server.start()
    try:
        with pytest.raises(ServiceUnreachable):
            open_stream(f"nats://{server.host}/ORDERS")
        monkeypatch.setenv("NATS_USERNAME", "ana")
        monkeypatch.setenv("NATS_PASSWORD", "wrong-s3cret-word")
        with pytest.raises(ServiceUnreachable) as refused:
            open_stream(f"nats://{server.host}/ORDERS")
        assert "s3cret" not in f"{refused.value!r} {caplog.text}"
        monkeypatch.setenv("NATS_PASSWORD", "s3cret-word")
        with pytest.raises(NotFound):
            open_stream(f"nats://{server.host}/ORDERS")
        with pytest.raises(BadInput, match="NATS_PASSWORD") as told:
            open_stream(f"nats://ana:s3cret-word@{server.host}/ORDERS")
        assert "s3cret" not in str(told.value)
    finally:
        server.kill()


def test_a_server_that_dies_is_an_error_and_is_found_when_it_is_back(mortal: NatsServer) -> None:
    url = NatsStreams(mortal.host).make("LOST")
    stream = open_stream(url)
    stream.publish([str(number).encode() for number in range(40)])
    found = read_all(stream, 15)
    mortal.kill()
    begun = time.monotonic()
    for act in (lambda: stream.read(after({}, found), 10, WIDE, 0.2), lambda: stream.publish([b"x"])):
        with pytest.raises(ServiceUnreachable, match=mortal.host):
            act()
    assert time.monotonic() - begun < 10
    mortal.start()
    found += read_all(stream, 25, after({}, found))
    assert payloads(found) == [str(number).encode() for number in range(40)]
    stream.close()


def test_a_server_that_dies_while_it_is_waited_for_is_an_error_at_once(mortal: NatsServer) -> None:
    stream = open_stream(NatsStreams(mortal.host).make("LOST"))
    assert stream.read({}, 10, WIDE, 0.05) == []
    end = threading.Timer(0.3, mortal.kill)
    end.start()
    begun = time.monotonic()
    with pytest.raises(ServiceUnreachable):
        stream.read({}, 10, WIDE, 3.0)
    assert time.monotonic() - begun < 12
    end.join()
    stream.close()
