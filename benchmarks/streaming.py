"""A stream that is scored while its scorer is killed again and again: nothing lost, nothing doubled; rates.

The kills fall anywhere, most of them where the scorer had come some way by itself (`parts/streams.py`). Every
997th message cannot be scored. What counts is what the tables hold at the end. The broker of Kafka is the one
that its client library brings along for tests, so that rate is the client's and ours; NATS is a server that
runs at 127.0.0.1:4222 (or NATS_HOST), and is left out, with a word, where there is none.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from benchmarks.parts.streams import Counted, count, kill_until_done, prepare, publish, timed
from benchmarks.report import Figure, Report

from esteira.serving.streams import open_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

MESSAGES, KILLS = 1_000_000, 100  # of the local log
NATS_MESSAGES, NATS_KILLS = 200_000, 20
RATED = 100_000  # messages of one rate; the Kafka broker for tests keeps only some megabytes
BATCH = 2_000  # messages, so that kills fall into many batches
NATS_HOST = os.environ.get("NATS_HOST", "127.0.0.1:4222")


def survive(report: Report, name: str, url: str, folder: Path, messages: int, kills: int) -> None:
    """Publish, kill, count, and add the figures."""
    prepare(folder)
    with closing(open_stream(url)) as stream:
        begun = time.perf_counter()
        publish(stream, 0, messages)
        report.add(Figure(f"{name}_published", messages / (time.perf_counter() - begun), "/s"))
    begun = time.perf_counter()
    died = kill_until_done(folder, url, kills, BATCH)
    seconds = time.perf_counter() - begun
    found: Counted = count(folder, messages)
    report.add(Figure(f"{name}_messages", messages, ""))
    report.add(Figure(f"{name}_kills", died, "", kills, "at least"))
    report.add(Figure(f"{name}_lost", found.lost, "", 0))
    report.add(Figure(f"{name}_doubled", found.doubled, "", 0))
    report.add(Figure(f"{name}_wrong_rows", found.wrong, "", 0))
    report.add(Figure(f"{name}_seconds", seconds, "s"))


def rate(report: Report, name: str, url: str, messages: int) -> None:
    """The messages that one scorer brings into the table in a second."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        with closing(open_stream(url)) as stream:
            publish(stream, 0, messages)
        report.add(Figure(f"{name}_rate", timed(Path(folder), url), "/s"))


@contextmanager
def nats_stream() -> Iterator[str]:
    """A new JetStream stream, deleted at the end. Raises: OSError, ImportError (there is none)."""
    name = f"BENCH{uuid4().hex[:12]}"
    _ask_nats(lambda js: js.add_stream(name=name, subjects=[f"{name}.>"]))
    try:
        yield f"nats://{NATS_HOST}/{name}?subject={name}.in&durable=scorer"
    finally:
        _ask_nats(lambda js: js.delete_stream(name))


def _ask_nats(act: Callable[[Any], Coroutine[Any, Any, Any]]) -> None:
    import nats

    async def asked() -> None:
        client = await nats.connect(f"nats://{NATS_HOST}", allow_reconnect=False, connect_timeout=3)
        await act(client.jetstream())
        await client.close()

    asyncio.run(asked())


@contextmanager
def kafka_topic() -> Iterator[str]:
    """A topic of a broker for tests. Raises: ImportError."""
    from confluent_kafka import Producer

    cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "none", "log_level": 0})
    (broker,) = cluster.list_topics(timeout=5).brokers.values()
    cluster.list_topics("bench", timeout=5)
    yield f"kafka://{broker.host}:{broker.port}/bench"


def main() -> int:
    """Kill, count, measure, print, write; 0 only if nothing was lost or doubled anywhere."""
    report = Report("streaming", distributions=("confluent-kafka", "nats-py", "deltalake", "lightgbm"))
    with tempfile.TemporaryDirectory() as folder:
        rate(report, "local", f"file:{folder}/rate", RATED)
        survive(report, "local", f"file:{folder}/inbox", Path(folder), MESSAGES, KILLS)
    for name, opening, act in (
        ("nats", nats_stream, partial(rate, report, "nats")),
        ("kafka", kafka_topic, partial(rate, report, "kafka")),
    ):
        try:
            with opening() as url:
                act(url, RATED)
        except (OSError, ImportError) as absent:
            print(f"bench: {name} is left out: {absent}", file=sys.stderr)
    if any(figure.name == "nats_rate" for figure in report.figures):
        with tempfile.TemporaryDirectory() as folder, nats_stream() as url:
            survive(report, "nats", url, Path(folder), NATS_MESSAGES, NATS_KILLS)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
