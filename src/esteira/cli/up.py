"""`esteira up`: gateway, monitors and pages, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from argparse import ArgumentTypeError
from contextlib import ExitStack
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError
from esteira.base.optional import load
from esteira.cli.output import console

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from esteira.base.settings import Settings
    from esteira.project.feed import OnlineFeed
    from esteira.project.pushes import PushWatch
    from esteira.project.ring import Ring
    from esteira.project.station import Station
    from esteira.serving.process import ServerProcess

_PUSHES_S = 0.25  # between two looks at what was pushed

# Loaded first, so that a missing extra is said before anything starts.
_DOORS = ("esteira.serving.servers.granian:serve", "esteira.web.app:application")
_GRPC = "esteira.serving.rpc.server:serve"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--every",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="between two rounds of the ring (default: 10)",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise ArgumentTypeError(f"must be a number of seconds above 0, found {text!r}")
    return seconds


def run(arguments: Namespace) -> int:
    from esteira.project.feed import OnlineFeed
    from esteira.project.pushes import PushWatch, publish_pushes
    from esteira.project.ring import Ring
    from esteira.project.station import open_station

    for needed in _DOORS:
        load(needed)
    station = open_station(arguments.folder)
    servers = _servers(station.settings)
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    with ExitStack() as stack:
        ring = Ring(station)
        ring.ingest(station.clock.now())
        feed = OnlineFeed(station.project.views, station.online, station.ledger)
        feed.catch_up(station.tables, station.clock.now())
        publish_pushes(station)
        for server in servers.values():
            stack.enter_context(server)
        told = "".join(f"{name:7} {server.url}\n" for name, server in servers.items())
        console().print(f"{told}stop with Ctrl-C", markup=False)
        pushes = PushWatch(station)
        while _is_due(stop, arguments.every, pushes):
            try:
                for server in servers.values():
                    server.start()  # does nothing while it lives; one that died is back after a round
                _turn(station, ring, feed)
            except EsteiraError as refused:  # the gateway goes on answering
                print(f"esteira: {refused}; tried again in {arguments.every:g} s", file=sys.stderr)
    return 0


def _servers(settings: Settings) -> dict[str, ServerProcess]:
    """What answers beside the ring, in the order in which it starts. Raises: MissingExtra, BadInput."""
    from esteira.cli.page import page
    from esteira.project.station import AUDIT
    from esteira.serving.process import GatewayProcess
    from esteira.serving.rpc.process import RpcProcess

    servers = {"gateway": GatewayProcess(settings.root, audit=AUDIT), "pages": page(settings.root)}
    if settings.gateway.grpc_port:
        load(_GRPC)
        servers["grpc"] = RpcProcess(settings.root, audit=AUDIT)
    return servers


def _is_due(stop: threading.Event, seconds: float, pushes: PushWatch) -> bool:
    """Whether the next round is due, after taking what was pushed until then; else the end has come."""
    from esteira.project.pushes import RETRY_S

    end = time.monotonic() + seconds
    while not stop.wait(max(0.0, min(_PUSHES_S, end - time.monotonic()))):
        try:
            pushes.look()
        except EsteiraError as refused:
            print(f"esteira: {refused}; tried again in {RETRY_S:g} s", file=sys.stderr)
        if time.monotonic() >= end:
            return True
    return False


def _turn(station: Station, ring: Ring, feed: OnlineFeed) -> None:
    """One round: what the sources published, then all that is due."""
    from esteira.project.upkeep import keep_tidy

    now = station.clock.now()
    ring.ingest(now)
    feed.follow(station.tables, now)  # windows end as time passes, also when nothing comes
    ring.tick(now)
    keep_tidy(station)
