"""`esteira stream`: score the messages of a stream into a table, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import sys
import threading
import time
from argparse import ArgumentTypeError
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from esteira.base.errors import ServiceUnreachable
from esteira.cli.output import console, print_json

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterator
    from types import FrameType

    from esteira.serving.streaming import Batch, StreamScorer

    _Handler = Callable[[int, FrameType | None], Any] | int | None

_SHOWN_S = 0.5  # between two looks at how many messages wait


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "url", help="file:FOLDER, nats://HOST:4222/STREAM?subject=…&durable=… or kafka://HOST:9092/TOPIC"
    )
    parser.add_argument("table", help="where the scores go; what cannot be scored goes to TABLE_rejected")
    parser.add_argument(
        "--version",
        type=_version,
        default=None,
        metavar="N|champion",
        help="the version that scores (default: whatever is champion)",
    )
    sent = (
        "send each score to this stream too, as JSON: at least once, so tell by its position what came again"
    )
    parser.add_argument("--publish", metavar="URL", help=sent)
    parser.add_argument("--until-empty", action="store_true", help="end when no message is left")
    parser.add_argument(
        "--max-batch", type=_positive, default=10_000, metavar="N", help="messages in memory (default: 10000)"
    )
    parser.add_argument(
        "--linger",
        type=_positive,
        default=500,
        metavar="MS",
        help="that a batch which is not full is waited for (default: 500)",
    )


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= 1_000_000:
        raise ArgumentTypeError(f"must be a whole number from 1 to 1000000, found {text!r}")
    return int(text)


def _version(text: str) -> int | None:
    return None if text == "champion" else _positive(text)


def run(arguments: Namespace) -> int:
    from esteira.project.station import open_station
    from esteira.project.streaming import stream_scorer
    from esteira.serving.streaming import Limits
    from esteira.serving.streams import open_stream

    station = open_station(arguments.folder)
    limits = Limits(messages=arguments.max_batch, linger_s=arguments.linger / 1000)
    with ExitStack() as ending:
        stream = ending.enter_context(closing(open_stream(arguments.url)))
        outlet = ending.enter_context(closing(open_stream(arguments.publish))) if arguments.publish else None
        scorer = stream_scorer(
            station, stream, arguments.table, version=arguments.version, limits=limits, outlet=outlet
        )
        progress = Progress(stream.address, arguments.table)
        stop = _stopped_by_signals(ending)
        show = ending.enter_context(_shown(scorer, progress, quiet=arguments.json))
        scorer.run(stop, show, until_empty=arguments.until_empty)
        progress.look(scorer)
    if arguments.json:
        print_json(progress.to_plain())
    else:
        console().print(progress.line(), markup=False)
    return 0


def _stopped_by_signals(ending: ExitStack) -> threading.Event:
    """Set by Ctrl-C and SIGTERM; a second one ends the command at once, as before and after `ending`."""
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(name)
        ending.callback(signal.signal, name, before)
        signal.signal(name, partial(_stop, stop, before))
    return stop


def _stop(stop: threading.Event, before: _Handler, name: int, _frame: FrameType | None) -> None:
    stop.set()
    signal.signal(name, before)


class Progress:
    """What was done since the start."""

    def __init__(self, stream: str, table: str) -> None:
        self.stream, self.table, self.version = stream, table, ""
        self.scored = self.rejected = 0
        self.behind: int | None = None  # messages that wait; not known before the first look
        self._began = time.monotonic()

    def add(self, batch: Batch) -> None:
        self.scored += batch.scored
        self.rejected += batch.rejected
        self.version = batch.version or self.version

    def look(self, scorer: StreamScorer) -> None:
        """See how many messages wait, if the broker says."""
        with suppress(ServiceUnreachable):  # the scorer hears of it itself
            self.behind = scorer.behind()

    def to_plain(self) -> dict[str, object]:
        """As JSON values."""
        seconds = time.monotonic() - self._began
        return {
            "stream": self.stream,
            "table": self.table,
            "scored": self.scored,
            "rejected": self.rejected,
            "behind": self.behind,
            "version": self.version,
            "seconds": round(seconds, 3),
            "messages_per_second": round((self.scored + self.rejected) / max(seconds, 1e-9), 1),
        }

    def line(self) -> str:
        """For people."""
        told = self.to_plain()
        waiting = "" if self.behind is None else f", {self.behind:,} behind"
        by = f" by version {self.version}" if self.version else ""
        done = f"{self.scored:,} scored{by}, {self.rejected:,} rejected{waiting}"
        return f"{self.stream} to {self.table}: {done}, {told['messages_per_second']:,} messages/s"


@contextmanager
def _shown(scorer: StreamScorer, progress: Progress, *, quiet: bool) -> Iterator[Callable[[Batch], None]]:
    """What hears of each batch, and shows how it goes where somebody looks."""
    from rich.live import Live
    from rich.text import Text

    live: Live | None = None
    looked = 0.0

    def hear(batch: Batch) -> None:
        nonlocal looked
        progress.add(batch)
        now = time.monotonic()
        if now - looked >= _SHOWN_S:
            looked = now
            progress.look(scorer)
            if live is not None:
                live.update(Text(progress.line()))

    if quiet or not sys.stderr.isatty():
        yield hear
    else:
        with Live(console=console(aside=True), transient=True) as live:
            yield hear
