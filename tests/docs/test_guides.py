"""Every guide does what it says: its files are written, its commands run, what they print is compared.

A fence of `sh` runs in the guide's folder. A comment before a fence says more: `file: NAME` and
`append: NAME` write it, `background` leaves its command running, `stop` ends that before. A fence of `text`
is what the commands since the last one print, where `…` stands for anything.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
_FENCE = re.compile(
    r"(?:<!-- (?P<act>[a-z]+)(?:: (?P<name>\S+))? -->\n)?```(?P<kind>\w+)\n(?P<body>.*?)```", re.S
)
_WAIT_S = 60


class Fence(NamedTuple):
    act: str
    name: str
    kind: str
    body: str


def fences(guide: Path) -> list[Fence]:
    found = _FENCE.finditer(guide.read_text(encoding="utf-8"))
    return [Fence(each["act"] or "", each["name"] or "", each["kind"], each["body"]) for each in found]


class Reader:
    """Somebody who follows a guide in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.said = folder, ""
        self._exported: list[str] = []
        self._running: subprocess.Popen[bytes] | None = None
        self._ports = {"8080": _free_port(), "8081": _free_port()}
        self._environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ESTEIRA_GATEWAY_PORT": self._ports["8080"],
            "ESTEIRA_WEB_PORT": self._ports["8081"],
            "COLUMNS": "200",
        }

    def follow(self, fence: Fence) -> None:
        if fence.act in ("file", "append"):
            with (self.folder / fence.name).open(
                "a" if fence.act == "append" else "w", encoding="utf-8"
            ) as file:
                file.write(fence.body)
        elif fence.act == "background":
            self._start(fence.body)
        elif fence.kind == "sh":
            if fence.act == "stop":
                self.stop()
            self._run(fence.body)
        elif fence.kind == "text":
            expected = ".*".join(re.escape(piece.strip("\n")) for piece in fence.body.split("…"))
            assert re.search(expected, self.said, re.S), f"expected\n{fence.body}\nfound\n{self.said}"
            self.said = ""

    def _run(self, body: str) -> None:
        for old, new in self._ports.items():
            body = body.replace(f":{old}", f":{new}")
        script = "\n".join([*self._exported, body])
        done = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self._exported += [line for line in body.splitlines() if line.startswith("export ")]
        lines = (
            done.stdout.splitlines() if "curl" not in body else done.stdout.replace("}{", "}\n{").splitlines()
        )
        self.said += "\n".join(line.rstrip() for line in lines) + "\n"

    def _start(self, body: str) -> None:
        self._running = subprocess.Popen(
            body.split(), cwd=self.folder, env=self._environment, stdout=subprocess.DEVNULL
        )
        ends = time.monotonic() + _WAIT_S
        while True:
            try:
                urllib.request.urlopen(
                    f"http://127.0.0.1:{self._ports['8080']}/v2/health/live", timeout=5
                ).close()
                return
            except OSError:
                assert self._running.poll() is None, f"{body.strip()} ended"
                assert time.monotonic() < ends, f"{body.strip()} does not answer"
                time.sleep(0.1)

    def stop(self) -> None:
        if self._running is not None:
            self._running.send_signal(signal.SIGTERM)
            assert self._running.wait(_WAIT_S) == 0
            self._running = None


def _free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_a_guide_does_what_it_says(guide: Path, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    try:
        for fence in fences(guide):
            reader.follow(fence)
    finally:
        reader.stop()


def test_there_are_guides_and_each_shows_what_it_prints() -> None:
    assert GUIDES
    for guide in GUIDES:
        kinds = [fence.kind for fence in fences(guide)]
        assert "sh" in kinds
        assert "text" in kinds
