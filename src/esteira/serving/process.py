"""A server in a process of its own: started, asked whether it lives, stopped; it ends with its parent."""

from __future__ import annotations

import http.client
import json
import os
import selectors
import signal
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self
from urllib.parse import urlsplit

from esteira.base.errors import BadInput, ServiceUnreachable
from esteira.base.files import writing
from esteira.base.settings import load_settings
from esteira.serving.address import reserve, url_of
from esteira.serving.tls import tls_pair

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

START_S = 30.0  # to say where it listens and answer its first request
STOP_S = 15.0  # to answer what is in flight and flush its logs
_LOOK_S = 0.02
_CHUNK = 4_096  # bytes
_TAIL = 2_000  # characters of its log that an error quotes


@dataclass(frozen=True, slots=True)
class Door:
    """What `python -m MODULE --root FOLDER --port N --parent-pid P` serves."""

    module: str
    name: str  # in messages: "the gateway"
    host: str
    port: int
    health: str  # a path that answers 200 as soon as the server lives
    root: Path
    log: Path
    tls: bool = False
    drain_s: float = 0.0  # that it goes on serving when it is asked to end
    options: tuple[str, ...] = ()  # of its command line, besides


class ServerProcess:
    """A door opened in a process of its own, with its log in a file."""

    def __init__(self, door: Door, environment: Mapping[str, str] | None = None) -> None:
        self._door = door
        self._environment = dict(os.environ if environment is None else environment)
        self._process: subprocess.Popen[bytes] | None = None
        self.log = door.log
        self.url = url_of(door.host, door.port, "https" if door.tls else "http")

    @property
    def pid(self) -> int:
        """Of the first process; workers are its children."""
        return self._running().pid

    def start(self) -> Self:
        """Start and wait until it answers, with the routes that are in the store taken up.

        Raises: PortInUse, BadInput, ServiceUnreachable (it ended, or does not answer in time).
        """
        if self._process is not None and self._process.poll() is None:
            return self
        reserve(self._door.host, self._door.port).close()
        command = [sys.executable, "-m", self._door.module, "--root", str(self._door.root)]
        command += ["--port", str(self._door.port), "--parent-pid", str(os.getpid()), *self._door.options]
        with writing(self.log):
            self.log.parent.mkdir(parents=True, exist_ok=True)
            errors = self.log.open("ab")
        with errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                start_new_session=True,  # a Ctrl-C at the terminal is ours to pass on
            )
        try:
            self._wait(time.monotonic() + START_S)
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> int:
        """Ask it to end and wait: requests in flight are answered, logs flushed. Gives the exit code."""
        process = self._running()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(self._door.drain_s + STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
        return process.wait()

    def kill(self) -> None:
        """End it at once with all its workers, as a power failure would."""
        process = self._running()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise BadInput(f"{self._door.name} was not started; call start() first")
        return self._process

    def _wait(self, deadline: float) -> None:
        process = self._running()
        said = self._first_line(process, deadline)
        if said:
            self.url = json.loads(said)["url"]
        while not self._answers():
            if process.poll() is not None:
                raise self._unreachable(f"it ended with exit code {process.returncode}")
            if time.monotonic() > deadline:
                raise self._unreachable(f"no answer after {START_S:g} s")
            time.sleep(_LOOK_S)

    def _first_line(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        """What it says on standard output before it serves; nothing when it ends instead."""
        assert process.stdout is not None, "it was started with a pipe"
        said = b""
        with process.stdout as pipe, selectors.DefaultSelector() as waiting:
            waiting.register(pipe, selectors.EVENT_READ)
            while not said.endswith(b"\n"):
                if not waiting.select(max(deadline - time.monotonic(), 0.0)):
                    raise self._unreachable(f"it did not say where it listens within {START_S:g} s")
                read = os.read(pipe.fileno(), _CHUNK)
                if not read:
                    break
                said += read
        return said

    def _answers(self) -> bool:
        connection = _connection(self.url)
        try:
            connection.request("GET", self._door.health)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _unreachable(self, reason: str) -> ServiceUnreachable:
        tail = self.log.read_text(errors="replace")[-_TAIL:].strip().splitlines()
        said = f": {tail[-1]}" if tail else ""
        return ServiceUnreachable(self._door.name, self.url, f"{reason}{said}; its log is {self.log}")


def _connection(url: str) -> http.client.HTTPConnection:
    address = urlsplit(url)
    if address.scheme == "http":
        return http.client.HTTPConnection(address.hostname or "", address.port, timeout=1)
    # Our own child is asked whether it lives, and nothing is told: its certificate is the callers' to check.
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(address.hostname or "", address.port, timeout=1, context=unchecked)


class ModelsProcess(ServerProcess):
    """What serves the models of a project folder, as its settings say; each kind names itself."""

    module: ClassVar[str]
    called: ClassVar[str]
    health: ClassVar[str] = ""
    port_setting: ClassVar[str]  # under [gateway]
    log_name: ClassVar[str]

    def __init__(
        self,
        root: Path,
        *,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
        audit: str = "",
    ) -> None:
        """`port` instead of the one in esteira.toml; 0 takes a free one.

        `audit` names what opens the trail of changes, "package.module:name"; without it none are made.
        Raises: NotFound, BadInput.
        """
        settings = load_settings(root, environment)
        gateway = settings.gateway
        door = Door(
            self.module,
            self.called,
            gateway.host,
            getattr(gateway, self.port_setting) if port is None else port,
            self.health,
            settings.root,
            settings.home / self.log_name,
            tls_pair(settings) is not None,
            gateway.drain_ms / 1000,
            ("--audit", audit) if audit else (),
        )
        super().__init__(door, environment)


class GatewayProcess(ModelsProcess):
    """The gateway of a project folder. Its log is `.esteira/gateway.log`.

    with GatewayProcess(folder) as gateway:
        requests go to gateway.url
    """

    module, called, health = "esteira.serving", "the gateway", "/v2/health/live"
    port_setting, log_name = "port", "gateway.log"
