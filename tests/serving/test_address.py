from __future__ import annotations

import socket
import threading
import time

import pytest

from esteira.base.errors import BadInput
from esteira.serving.address import PortInUse, reserve, shares_ports, url_of

LOCAL = "127.0.0.1"


def listening(port: int = 0) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((LOCAL, port))
    made.listen()
    return made


def test_port_zero_takes_a_free_one() -> None:
    with reserve(LOCAL, 0) as one, reserve(LOCAL, 0) as other:
        assert one.getsockname()[1] != other.getsockname()[1] != 0


def test_a_port_in_use_is_said_with_the_mend() -> None:
    with listening() as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match="ESTEIRA_GATEWAY_PORT") as refused:
            reserve(LOCAL, port, patience_s=0)
    assert (refused.value.host, refused.value.port) == (LOCAL, port)
    assert isinstance(refused.value, BadInput)


def test_a_port_that_is_just_being_left_is_waited_for() -> None:
    taken = listening()
    port = taken.getsockname()[1]
    threading.Timer(0.15, taken.close).start()
    begun = time.monotonic()
    with reserve(LOCAL, port, patience_s=5) as held:
        assert held.getsockname()[1] == port
    assert time.monotonic() - begun >= 0.1


@pytest.mark.skipif(not shares_ports(), reason="this system cannot share a port that is held")
def test_a_server_listens_on_the_port_that_is_held_and_gets_every_connection() -> None:
    with reserve(LOCAL, 0) as held:
        address = held.getsockname()
        with listening(address[1]) as server:
            for _ in range(20):
                with socket.create_connection(address, timeout=2):
                    server.accept()[0].close()


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), (LOCAL, 99_999), (LOCAL, -1)])
def test_an_address_that_is_not_ours_is_bad_input(host: str, port: int) -> None:
    with pytest.raises(BadInput, match="choose another address"):
        reserve(host, port, patience_s=0)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("gateway.local", "http://gateway.local:80"),
    ],
)
def test_an_address_has_a_url_that_can_be_asked(host: str, expected: str) -> None:
    assert url_of(host, 80) == expected
    assert url_of(host, 80, "https") == expected.replace("http", "https")
