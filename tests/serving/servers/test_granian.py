from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from esteira.serving.address import reserve

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
APPLICATIONS = "tests.serving.servers.applications"


@contextmanager
def serving(target: str, interface: str, workers: int = 1) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with reserve("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
    program = (
        "from esteira.serving.servers.granian import serve\n"
        f"serve('{APPLICATIONS}:{target}', ('hello', 'you'), host='127.0.0.1', port={port},"
        f" workers={workers}, interface='{interface}')"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    try:
        yield process, f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        process.wait()


def answer(url: str) -> str:
    deadline = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as response:
                return str(response.read().decode())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@pytest.mark.parametrize("interface", ["rsgi", "asgi"])
def test_each_worker_makes_its_own_application_and_ends_with_the_signal(interface: str) -> None:
    with serving(interface, interface) as (process, url):
        words, _, worker = answer(url).rpartition(" ")
        assert words == "hello you"
        assert int(worker) != process.pid
        process.terminate()
        assert process.wait(10) == 0


def test_workers_that_keep_failing_end_the_server() -> None:
    with serving("failing", "rsgi") as (process, _):
        assert process.wait(20) == 1
