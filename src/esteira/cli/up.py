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

    from esteira.project.feed import OnlineFeed
    from esteira.project.pushes import PushWatch
    from esteira.project.ring import Ring
    from esteira.project.station import Station

_PUSHES_S = 0.25  # between two looks at what was pushed

# Loaded first, so that a missing extra is said before anything starts.
_DOORS = ("esteira.serving.servers.granian:serve", "esteira.web.app:application")


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
    from esteira.cli.page import page
    from esteira.project.feed import OnlineFeed
    from esteira.project.pushes import PushWatch, publish_pushes
    from esteira.project.ring import Ring
    from esteira.project.station import open_station
    from esteira.serving.process import GatewayProcess

    for needed in _DOORS:
        load(needed)
    station = open_station(arguments.folder)
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    with ExitStack() as stack:
        ring = Ring(station)
        ring.ingest(station.clock.now())
        feed = OnlineFeed(station.project.views, station.online, station.ledger)
        feed.catch_up(station.tables, station.clock.now())
        publish_pushes(station)
        gateway = stack.enter_context(GatewayProcess(station.settings.root))
        site = stack.enter_context(page(station.settings.root))
        console().print(f"gateway {gateway.url}\npages   {site.url}\nstop with Ctrl-C", markup=False)
        pushes = PushWatch(station)
        while _is_due(stop, arguments.every, pushes):
            try:
                gateway.start()  # does nothing while it lives; one that died is back after a round
                site.start()
                _turn(station, ring, feed)
            except EsteiraError as refused:  # the gateway goes on answering
                print(f"esteira: {refused}; tried again in {arguments.every:g} s", file=sys.stderr)
    return 0


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
