from __future__ import annotations

import json
import socket

import pytest
from tests.project.demo.recorder import Recorder

from esteira.base.errors import ServiceUnreachable
from esteira.project.demo.client import ReplayClient


def frames(client: ReplayClient, count: int) -> list[bytes]:
    return [client.frame("/ask", json.dumps(number).encode()) for number in range(count)]


def test_a_frame_is_one_post_with_its_length() -> None:
    with Recorder() as server, ReplayClient(server.url, connections=1) as client:
        frame = client.frame("/labels", b"[1]")
    assert frame.startswith(b"POST /labels HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    assert frame.endswith(b"Content-Length: 3\r\n\r\n[1]")


def test_every_request_is_answered_over_a_few_connections() -> None:
    with Recorder() as server, ReplayClient(server.url, connections=3) as client:
        client.send(frames(client, 100))
        client.send([])
        assert (client.answers.count, client.answers.failed) == (100, 0)
        assert sorted(number for _, number in server.asked) == list(range(100))
        assert server.connections == 3


def test_more_than_can_be_under_way_at_once_goes_in_parts() -> None:
    with Recorder() as server, ReplayClient(server.url, connections=2) as client:
        client.send(frames(client, 4_500))
        assert client.answers.count == 4_500
        assert max(number for _, number in server.asked[:2_000]) < 2_000


def test_on_one_connection_requests_arrive_in_their_order() -> None:
    with Recorder() as server, ReplayClient(server.url, connections=1) as client:
        client.send(frames(client, 50))
        assert [number for _, number in server.asked] == list(range(50))


def test_refusals_are_counted_and_the_first_ten_kept() -> None:
    with Recorder(status=422) as server, ReplayClient(server.url) as client:
        client.send(frames(client, 30))
    assert (client.answers.count, client.answers.failed) == (30, 30)
    assert client.answers.failures == [(422, b'{"said":"so"}')] * 10


def test_a_connection_that_was_closed_is_opened_again_and_nothing_is_lost() -> None:
    with Recorder(patience=7) as server, ReplayClient(server.url, connections=2) as client:
        for _ in range(4):
            client.send(frames(client, 12))
        assert client.answers.count == 48
        assert {number for _, number in server.asked} == set(range(12))
        assert server.connections > 2


def test_a_server_that_always_hangs_up_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as rude:
        url = f"http://127.0.0.1:{rude.getsockname()[1]}"
        client = ReplayClient(url, connections=1, timeout=0.2)
        with client, pytest.raises(ServiceUnreachable, match="the gateway at 127"):
            client.send(frames(client, 1))


def test_where_nobody_listens_the_message_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(ServiceUnreachable, match=f"the gateway at 127.0.0.1:{port} does not answer"):
        ReplayClient(f"http://127.0.0.1:{port}")
