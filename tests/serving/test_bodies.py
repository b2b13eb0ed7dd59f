"""Bodies that do not come as they were announced, over real connections."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from tests.serving.test_process import deploy
from tests.serving.worlds import project

from esteira.serving.process import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

BODY = b'{"inputs":{"miles":1,"carrier":"UA"}}'
CHUNK = b"%x\r\n%s\r\n" % (len(BODY), BODY)
CHUNKED, CLOSE = "transfer-encoding: chunked", "connection: close"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    settings = project(tmp_path_factory.mktemp("bodies") / "p")
    deploy(settings, -1.0)
    with GatewayProcess(settings.root, port=0) as running:
        yield running


def ask(gateway: GatewayProcess, header: str, sent: bytes, *, ends: bool) -> tuple[int, bytes]:
    """Send a request, perhaps as the last thing that will come; the status and the body of the answer."""
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as caller:
        caller.sendall(
            f"POST /invocations HTTP/1.1\r\nhost: x\r\n{header}\r\n{CLOSE}\r\n\r\n".encode() + sent
        )
        if ends:
            caller.shutdown(socket.SHUT_WR)
        head, _, body = b"".join(iter(lambda: caller.recv(65536), b"")).partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


def test_a_body_in_chunks_is_one_body(gateway: GatewayProcess) -> None:
    half = len(BODY) // 2
    parts = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:half], BODY[half:]))
    assert ask(gateway, CHUNKED, parts + b"0\r\n\r\n", ends=False)[0] == 200


def test_fields_that_follow_a_body_are_passed_over_where_they_were_announced(gateway: GatewayProcess) -> None:
    sent = CHUNK + b"0\r\nx-sum: 7\r\n\r\n"
    assert ask(gateway, f"{CHUNKED}\r\ntrailer: x-sum", sent, ends=False)[0] == 200


@pytest.mark.parametrize(
    "sent",
    [CHUNK, CHUNK[:-4], CHUNK + b"zz\r\n", CHUNK + b"5\r\nab"],
    ids=["without its end", "within a chunk", "with a length that is none", "with a chunk too short"],
)
def test_chunks_that_break_off_are_no_whole_body(gateway: GatewayProcess, sent: bytes) -> None:
    status, body = ask(gateway, CHUNKED, sent, ends=True)
    assert status == 400
    assert "send it whole" in json.loads(body)["message"]


def test_a_body_shorter_than_its_length_is_no_whole_body(gateway: GatewayProcess) -> None:
    assert ask(gateway, f"content-length: {len(BODY) + 9}", BODY, ends=True)[0] in {
        0,
        400,
    }  # or the server hangs up
    assert ask(gateway, f"content-length: {len(BODY)}", BODY, ends=False)[0] == 200
