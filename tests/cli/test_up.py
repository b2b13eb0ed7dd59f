from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.cli.test_main import COMMAND
from tests.project.pushing import NOON, SETTINGS, lay_pumps, reading, send
from tests.web.stations import PROJECT, copy_of, lay_down

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Command

pytestmark = pytest.mark.slow


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        yield int(held.getsockname()[1])


@pytest.mark.parametrize("door", ["GATEWAY", "GATEWAY_GRPC", "WEB"])
def test_a_port_in_use_is_said_with_the_mend(
    esteira: Command, tmp_path: Path, taken: int, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"ESTEIRA_{door}_PORT", str(taken))
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        code, out, err = esteira("up", "-C", lay_down(tmp_path))
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    assert (code, out) == (2, "")
    assert f"port {taken}" in err
    assert "in use" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("every", ["0", "-1", "nan", "inf", "often"])
def test_a_pause_that_is_none_is_refused(esteira: Command, every: str) -> None:
    code, out, err = esteira("up", "--every", every)
    assert (code, out) == (2, "")
    assert f"must be a number of seconds above 0, found '{every}'" in err


def started(folder: Path, every: str = "0.2") -> tuple[subprocess.Popen[str], str, str]:
    """`esteira up`, and the addresses that it told."""
    command = [*COMMAND, "up", "--every", every, "-C", str(folder)]
    up = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert up.stdout is not None
    told = [up.stdout.readline().split() for _ in range(3)]
    assert told[2] == ["stop", "with", "Ctrl-C"], up.stderr.read() if up.stderr else ""
    return up, told[0][1], told[1][1]


def test_up_serves_the_gateway_and_the_pages_until_ctrl_c(lived_folder: Path, tmp_path: Path) -> None:
    up, gateway, pages = started(copy_of(lived_folder, tmp_path / "copy"))
    try:
        for url in (f"{gateway}/v2/health/ready", f"{pages}/traffic?lang=pt-BR"):
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert answer.status == 200
    finally:
        up.send_signal(signal.SIGINT)
        _, err = up.communicate(timeout=40)
    assert (up.returncode, err) == (0, "")
    for url in (gateway, pages):
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(url, timeout=2)


def test_a_source_that_fails_is_told_and_does_not_stop_the_gateway(tmp_path: Path) -> None:
    failing = PROJECT.replace(
        "    chance =", "    from esteira.base.errors import BadInput\n"
        "    import pathlib\n    if pathlib.Path(__file__).with_name('broken').exists():\n"
        "        raise BadInput('the source is away')\n    chance =", 1
    )  # fmt: skip
    folder = lay_down(tmp_path, project=failing)
    up, gateway, _ = started(folder)
    try:
        (folder / "broken").touch()
        from esteira.project.station import open_station

        clock = open_station(folder).clock
        clock.advance(timedelta(hours=1))
        assert up.stderr is not None
        assert "the source is away; tried again in 0.2 s" in up.stderr.readline()
        with urllib.request.urlopen(f"{gateway}/v2/health/live", timeout=10) as answer:
            assert answer.status == 200
    finally:
        up.terminate()
        up.communicate(timeout=40)
    assert up.returncode == 0


def test_a_pushed_row_is_readable_well_before_the_next_round_and_the_pages_show_it(tmp_path: Path) -> None:
    settings = SETTINGS.split("\n", 1)[1]  # on the machine's own clock
    up, gateway, pages = started(lay_pumps(tmp_path / "pumps", settings), every="600")
    try:
        for number in range(5):
            sent = send(f"{gateway}/push/readings", {"rows": [reading("p0", NOON, 1.5, number)]})
            assert sent[0] == 202
            until = time.monotonic() + 10
            while online(gateway) != [1.5, number]:
                assert time.monotonic() < until
        with urllib.request.urlopen(f"{pages}/data?lang=en", timeout=10) as answer:
            assert "readings" in answer.read().decode()
    finally:
        up.send_signal(signal.SIGINT)
        _, err = up.communicate(timeout=40)
    assert (up.returncode, err) == (0, "")


def online(gateway: str) -> list[float] | None:
    status, answer = send(f"{gateway}/features/pump?pump=p0")
    return None if status == 404 else answer["values"][0]
