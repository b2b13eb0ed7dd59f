"""`esteira up`: gateway, monitors and pages, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError
from esteira.base.optional import load
from esteira.cli.output import console

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from esteira.project.feed import OnlineFeed
    from esteira.project.ring import Ring
    from esteira.project.station import Station

# Loaded first, so that a missing extra is said before anything starts.
_DOORS = ("esteira.serving.servers.granian:serve", "esteira.web.app:application")


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--every",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="between two rounds of the ring (default: 10)",
    )


def run(arguments: Namespace) -> int:
    from esteira.cli.page import page
    from esteira.project.feed import OnlineFeed
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
        feed = OnlineFeed(station.project.views, station.online)
        feed.catch_up(station.tables, station.clock.now())
        gateway = stack.enter_context(GatewayProcess(station.settings.root))
        site = stack.enter_context(page(station.settings.root))
        console().print(f"gateway {gateway.url}\npages   {site.url}\nstop with Ctrl-C", markup=False)
        while not stop.wait(arguments.every):
            try:
                gateway.start()  # does nothing while it lives; one that died is back after a round
                site.start()
                _turn(station, ring, feed)
            except EsteiraError as refused:  # the gateway goes on answering
                print(f"esteira: {refused}; tried again in {arguments.every:g} s", file=sys.stderr)
    return 0


def _turn(station: Station, ring: Ring, feed: OnlineFeed) -> None:
    """One round: what the sources published, then all that is due."""
    now = station.clock.now()
    ring.ingest(now)
    feed.follow(station.tables, now)  # windows end as time passes, also when nothing comes
    ring.tick(now)
