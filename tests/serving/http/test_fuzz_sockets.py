"""What a socket can say that no client library would, to a real gateway: an answer or a closed connection."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest
from tests.serving.worlds import deployment, project, tree_model, tree_score

from esteira.pipelines.artifacts import ArtifactStore
from esteira.serving.process import GatewayProcess
from esteira.serving.routes import RouteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

BODY = json.dumps({"inputs": [{"miles": 100, "carrier": "UA"}]}).encode()
ANSWER = json.dumps({"predictions": [tree_score(-1.0)]}, separators=(",", ":")).encode()
ODD_NAME = "late flight: é%"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = project(tmp_path_factory.mktemp("sockets"))
    artifacts = ArtifactStore(folder.store("artifacts"))
    routes = RouteStore(folder.store("state"))
    routes.set(deployment(artifacts, tree_model(-1.0)))
    routes.set(deployment(artifacts, tree_model(-2.0), name=ODD_NAME))
    with GatewayProcess(folder.root, port=0) as running:
        yield running


@pytest.fixture(autouse=True)
def answers_afterwards(gateway: GatewayProcess) -> Iterator[None]:
    yield
    status, body = status_of(say(gateway, post(BODY)))
    assert (status, body) == (200, ANSWER)


def post(body: bytes, *lines: str, length: int | None = None, version: str = "1.1") -> bytes:
    """A request to /invocations that closes its connection."""
    size = len(body) if length is None else length
    head = [
        f"POST /invocations HTTP/{version}",
        "Host: x",
        "Connection: close",
        f"Content-Length: {size}",
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def connect(gateway: GatewayProcess) -> socket.socket:
    address = urlsplit(gateway.url)
    return socket.create_connection((address.hostname, address.port), timeout=10)


def read_all(connection: socket.socket) -> bytes:
    """What comes until the other side closes, or says nothing for two seconds."""
    connection.settimeout(2)
    found = b""
    try:
        while more := connection.recv(65536):
            found += more
    except (TimeoutError, ConnectionResetError):
        pass
    return found


def say(gateway: GatewayProcess, *parts: bytes, pause_s: float = 0.0) -> bytes:
    with connect(gateway) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause_s)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough
        return read_all(connection)


def status_of(answer: bytes) -> tuple[int, bytes]:
    """The status and the body of one answer; 0 when the connection was closed without one."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Traceback" not in answer
    return (int(head.split()[1]) if head else 0), body


def test_a_body_that_ends_early_has_no_answer(gateway: GatewayProcess) -> None:
    with connect(gateway) as connection:
        connection.sendall(post(BODY[:10], length=len(BODY)))
        connection.shutdown(socket.SHUT_WR)
        assert status_of(read_all(connection))[0] in {0, 400}


def test_a_length_that_is_too_small_cuts_the_body_off(gateway: GatewayProcess) -> None:
    assert status_of(say(gateway, post(BODY, length=5)))[0] == 400


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "0x10", "9" * 400, "5, 5", ""])
def test_a_length_that_is_none_is_refused(gateway: GatewayProcess, length: str) -> None:
    head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    assert status_of(say(gateway, head.encode() + BODY))[0] in {0, 400, 413}


def test_two_lengths_that_differ_are_refused(gateway: GatewayProcess) -> None:
    assert status_of(say(gateway, post(BODY, "Content-Length: 3")))[0] in {0, 400}


def test_a_length_beside_chunks_smuggles_nothing(gateway: GatewayProcess) -> None:
    hidden = b"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = say(gateway, post(hidden, "Transfer-Encoding: chunked", length=len(hidden)))
    assert answer.count(b"HTTP/1.1 200") == 0
    assert b"esteira_requests" not in answer


def test_a_body_over_the_limit_is_refused_before_it_comes(gateway: GatewayProcess) -> None:
    status, body = status_of(say(gateway, post(b"", length=10**9)))
    assert status == 413
    assert json.loads(body)["error_code"] == "BAD_REQUEST"


def test_chunks_are_a_body_too(gateway: GatewayProcess) -> None:
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n%b\r\n" % (1, BODY[at : at + 1]) for at in range(len(BODY))]
    assert status_of(say(gateway, head, *chunks, b"0\r\n\r\n"))[0] == 200


def test_endless_chunks_end_at_the_limit(gateway: GatewayProcess) -> None:
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    assert status_of(say(gateway, head, *[chunk] * 80))[0] in {0, 413}


@pytest.mark.parametrize(
    "chunk", [b"zz\r\n", b"-5\r\nabcde\r\n", b"ffffffffffffffffff\r\n", b"5\r\nab\r\n0\r\n\r\n"]
)
def test_broken_chunks_are_refused(gateway: GatewayProcess, chunk: bytes) -> None:
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert status_of(say(gateway, head + chunk))[0] in {0, 400}


def test_a_client_that_writes_byte_by_byte_holds_up_nobody(gateway: GatewayProcess) -> None:
    request = post(BODY)
    with connect(gateway) as slow:
        for at in range(len(request)):
            slow.sendall(request[at : at + 1])
            if at % 50 == 0:
                assert status_of(say(gateway, post(BODY)))[0] == 200
        assert status_of(read_all(slow)) == (200, ANSWER)


def test_requests_sent_at_once_are_answered_in_their_order(gateway: GatewayProcess) -> None:
    first = post(BODY).replace(b"Connection: close\r\n", b"")
    wrong = post(b"{").replace(b"Connection: close\r\n", b"")
    answer = say(gateway, first + wrong + first + post(BODY))
    statuses = [int(part.split()[0]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 400, 200, 200]


def test_who_asks_before_sending_is_told_to_go_on(gateway: GatewayProcess) -> None:
    request = post(BODY, "Expect: 100-continue")
    head, _, body = request.partition(b"\r\n\r\n")
    with connect(gateway) as connection:
        connection.sendall(head + b"\r\n\r\n")
        connection.settimeout(5)
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(body)
        assert status_of(read_all(connection)) == (200, ANSWER)


def test_the_first_http_is_spoken(gateway: GatewayProcess) -> None:
    status, body = status_of(say(gateway, post(BODY, version="1.0")))
    assert (status, body) == (200, ANSWER)


@pytest.mark.parametrize(
    "request_line",
    [
        "GET",
        "GET /",
        "POST /invocations HTTP/9.9",
        "\0",
        "GET \xff HTTP/1.1",
        "G" * 5000,
        "GET /v2 HTTP/1.1 x",
    ],
)
def test_a_line_that_is_no_request_is_refused(gateway: GatewayProcess, request_line: str) -> None:
    answer = say(gateway, request_line.encode("latin-1") + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert status_of(answer)[0] in {0, 400, 404, 505}


def test_very_long_headers_and_addresses_are_refused(gateway: GatewayProcess) -> None:
    many = [f"X-H{n}: y" for n in range(5000)]
    for request in (
        post(BODY, "X-Long: " + "y" * 2_000_000),
        post(BODY, *many),
        b"GET /v2/models/" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ):
        status, body = status_of(say(gateway, request))
        assert status in {0, 400, 404, 414, 431}
        assert len(body) < 2000


def test_bytes_of_another_protocol_are_refused(gateway: GatewayProcess) -> None:
    hello = bytes.fromhex("16030100c8010000c40303") + bytes(189)
    assert status_of(say(gateway, hello))[0] in {0, 400}


def get(gateway: GatewayProcess, path: str) -> tuple[int, bytes]:
    return status_of(say(gateway, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()))


def test_a_name_with_odd_letters_is_found_in_its_encoded_form(gateway: GatewayProcess) -> None:
    status, body = get(gateway, f"/v2/models/{quote(ODD_NAME, safe='')}")
    assert (status, json.loads(body)["name"]) == (200, ODD_NAME)


@pytest.mark.parametrize(
    "name", ["late%2Fx", "..%2Flate", "%2e%2e", "late%00", "late%", "late%zz", "%FF", "late%2520"]
)
def test_an_encoded_path_is_decoded_once_and_a_slash_is_part_of_no_name(
    gateway: GatewayProcess, name: str
) -> None:
    assert get(gateway, f"/v2/models/{name}")[0] == 404
