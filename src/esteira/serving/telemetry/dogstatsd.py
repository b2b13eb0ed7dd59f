"""The counters to a Datadog agent, by its open protocol over UDP. Source: DogStatsD datagrams, version 1.

One worker sends the numbers of all, so gauges are those of the gateway and not of whichever worker spoke
last. Counters go as what came since the last push. What was sent is kept for the worker that speaks next
before the datagrams leave, so no count is sent twice and, unless the network loses it, none is left out.
"""

from __future__ import annotations

import re
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from esteira.base.errors import BadInput, ServiceUnreachable
from esteira.serving.telemetry.families import BY_NAME
from esteira.serving.telemetry.histograms import quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from esteira.serving.telemetry.families import Family
    from esteira.serving.telemetry.metrics import Metrics
    from esteira.serving.telemetry.readings import Numbers
    from esteira.serving.telemetry.turn import Turn

DATAGRAM_BYTES = 1432  # what passes an Ethernet with its headers, whole
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_BURST = 16  # datagrams between two short waits: an agent's buffer holds a few hundred KiB
_PAUSE_S = 0.001
_TAG_CHARACTERS = 200
_BREAKING = re.compile(r"[|,\s#]")  # what ends a tag

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str, tuple[str, ...], list[float]]]).decode


class DogStatsD:
    """Pushes the merged counters while it is this worker's turn. Raises: BadInput (no host:port)."""

    name = "dogstatsd"

    def __init__(self, address: str, prefix: str, every_s: float, metrics: Metrics, turn: Turn) -> None:
        self.every_s, self._prefix = every_s, prefix
        self._metrics, self._turn = metrics, turn
        self._host, self._port = parse_address(address)
        self._socket: socket.socket | None = None
        self._sent: Numbers | None = None

    def push(self) -> None:
        """Send what changed. Raises: ServiceUnreachable."""
        if not self._turn.is_mine():
            return
        now = self._metrics.read()
        before = self._sent if self._sent is not None else self._kept()
        self._sent = _counted(now)
        self._turn.keep(self.name, _encode(_flat(self._sent)))
        try:
            self._send(datagrams(lines(now, before, self._prefix)))
        except OSError as refused:
            self._close_socket()  # its name may have moved to another address
            where = f"{self._host}:{self._port}"
            raise ServiceUnreachable("the Datadog agent", where, str(refused)) from refused

    def close(self) -> None:
        """Let the socket go, and another worker speak."""
        self._close_socket()
        self._turn.close()

    def _kept(self) -> Numbers:
        kept = self._turn.kept(self.name)
        found: Numbers = {}
        for family, labels, numbers in _decode(kept) if kept else ():
            found.setdefault(family, {})[labels] = numbers
        return found

    def _send(self, packets: Iterable[bytes]) -> None:
        if self._socket is None:
            family, *_, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            self._socket.connect(address)
        refused: ConnectionRefusedError | None = None
        for number, packet in enumerate(packets, start=1):
            try:
                self._socket.send(packet)
            except ConnectionRefusedError as earlier:  # of a datagram before; this one was not sent
                refused = earlier
                with suppress(ConnectionRefusedError):
                    self._socket.send(packet)
            if number % _BURST == 0:
                time.sleep(_PAUSE_S)
        if refused is not None:
            raise refused

    def _close_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def parse_address(address: str) -> tuple[str, int]:
    """The host and port of "host:port". Raises: BadInput.

    >>> parse_address("127.0.0.1:8125"), parse_address("[::1]:8125")
    (('127.0.0.1', 8125), ('::1', 8125))
    """
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or parts.netloc != address or parts.username is not None:
        raise BadInput(f"telemetry.dogstatsd must be host:port, such as 127.0.0.1:8125, found {address!r}")
    return host, port


def lines(now: Numbers, before: Numbers, prefix: str) -> Iterator[str]:
    """What to tell of all numbers now, when `before` was told."""
    for name, series in now.items():
        family, told = BY_NAME[name], before.get(name, {})
        short = f"{prefix}.{name.removeprefix('esteira_').removesuffix('_total')}"
        for labels, numbers in series.items():
            tags = _tags(family, labels)
            if family.kind == "gauge":
                yield f"{short}:{_number(numbers[0])}|g{tags}"
                continue
            old = told.get(labels, [0.0] * len(numbers))
            changes = [new - was for new, was in zip(numbers, old, strict=True)]
            if family.kind == "histogram":
                yield from _histogram(short, family, changes, tags)
            elif changes[0]:
                yield f"{short}:{_number(changes[0])}|c{tags}"


def datagrams(all_lines: Iterable[str]) -> Iterator[bytes]:
    """Lines in as few datagrams as hold them; a line is never cut."""
    packet = b""
    for line in all_lines:
        encoded = line.encode()
        if packet and len(packet) + 1 + len(encoded) > DATAGRAM_BYTES:
            yield packet
            packet = b""
        packet = packet + b"\n" + encoded if packet else encoded
    if packet:
        yield packet


def _histogram(short: str, family: Family, changes: Sequence[float], tags: str) -> Iterator[str]:
    *counts, total = changes
    if not sum(counts):
        return
    yield f"{short}.count:{_number(sum(counts))}|c{tags}"
    yield f"{short}.sum:{_number(total)}|c{tags}"
    for name, share in QUANTILES.items():
        value = quantile(family.buckets, counts, share)
        if value is not None:
            yield f"{short}.{name}:{_number(value)}|g{tags}"


def _tags(family: Family, labels: Sequence[str]) -> str:
    pairs = zip(family.labels, labels, strict=True)
    tags = ",".join(f"{name}:{_tag(value)}" for name, value in pairs if value)
    return f"|#{tags}" if tags else ""


def _tag(value: str) -> str:
    return _BREAKING.sub("_", value)[:_TAG_CHARACTERS]


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else f"{value:.9g}"


def _counted(numbers: Numbers) -> Numbers:
    return {name: series for name, series in numbers.items() if BY_NAME[name].kind != "gauge"}


def _flat(numbers: Numbers) -> list[tuple[str, tuple[str, ...], list[float]]]:
    return [(name, labels, each) for name, series in numbers.items() for labels, each in series.items()]
