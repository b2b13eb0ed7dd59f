"""Brokers for tests: NATS servers, shared or to be killed, and the Kafka cluster that librdkafka brings."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

SHARED = "127.0.0.1:4222"
# A cluster of one broker that speaks Kafka's protocol to any client; it says where, and lives until killed.
_CLUSTER = """
from confluent_kafka import Producer
cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "none", "log_level": 0})
(broker,) = cluster.list_topics(timeout=5).brokers.values()
print(f"{broker.host}:{broker.port}", flush=True)
while True:
    cluster.poll(1)
"""


class NatsStreams:
    """JetStream streams of one server, each under a name that nobody else has, deleted at the end."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._made: list[str] = []

    def make(self, name: str = "", **options: Any) -> str:
        """A stream with the subjects NAME.>; its URL, which publishes to NAME.in."""
        name = name or f"TEST{uuid4().hex[:12]}"
        options = {"subjects": [f"{name}.>"], **options}
        self._ask(lambda js: js.add_stream(name=name, **options))
        self._made.append(name)
        return f"nats://{self.host}/{name}?subject={name}.in"

    def delete(self, name: str) -> None:
        self._ask(lambda js: js.delete_stream(name))
        self._made.remove(name)

    def consumers(self, name: str) -> list[Any]:
        """What the server knows of a stream's consumers."""
        return self._ask(lambda js: js.consumers_info(name))

    def publish(self, subject: str, payload: bytes) -> None:
        self._ask(lambda js: js.publish(subject, payload))

    def add_consumer(self, name: str, durable: str) -> None:
        self._ask(lambda js: js.add_consumer(name, durable_name=durable, description="theirs"))

    def purge(self, name: str, before: int) -> None:
        """Delete the messages before a position."""
        self._ask(lambda js: js.purge_stream(name, seq=before))

    def close(self) -> None:
        for name in [*self._made]:
            self.delete(name)

    def _ask(self, act: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        import nats

        async def asked() -> Any:
            client = await nats.connect(f"nats://{self.host}", allow_reconnect=False, connect_timeout=3)
            try:
                return await act(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(asked())


def shared_nats() -> NatsStreams:
    """The server of this machine; where there is none, the test says that it is skipped."""
    pytest.importorskip("nats")
    host, _, port = SHARED.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        pytest.skip(f"needs a NATS server with JetStream at {SHARED}")
    return NatsStreams(SHARED)


class NatsServer:
    """A server of one test, which may be killed; `start` again finds what it had stored."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._binary = shutil.which("nats-server")
        if self._binary is None:
            pytest.skip("needs nats-server")
        pytest.importorskip("nats")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.host, self._folder, self._options = f"127.0.0.1:{self.port}", folder, options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> NatsStreams:
        """Start it and wait until it answers."""
        command = [str(self._binary), "-a", "127.0.0.1", "-p", str(self.port), "-js"]
        command += ["-sd", str(self._folder), "-l", str(self._folder / "log"), *self._options]
        self._process = subprocess.Popen(command)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return NatsStreams(self.host)
        raise AssertionError((self._folder / "log").read_text())

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class KafkaCluster:
    """A broker that can be frozen, with topics of four partitions that are there when asked for."""

    def __init__(self) -> None:
        pytest.importorskip("confluent_kafka")
        command = [sys.executable, "-c", _CLUSTER]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        self.host = self._process.stdout.readline().strip()
        assert self.host

    def make(self, name: str = "") -> str:
        """The URL of a new topic."""
        from confluent_kafka import Producer

        topic = name or f"test-{uuid4().hex[:12]}"
        Producer({"bootstrap.servers": self.host}).list_topics(topic, timeout=10)
        return f"kafka://{self.host}/{topic}?group=g"

    def freeze(self) -> None:
        """Let it answer nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()
