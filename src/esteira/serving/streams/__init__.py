"""Open a stream of messages by URL; nothing heavy loads until asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.optional import open_by_scheme

if TYPE_CHECKING:
    from esteira.serving.streams.port import Stream

_STREAMS = {
    "file": "esteira.serving.streams.local:LocalStream",
    "kafka": "esteira.serving.streams.kafka:KafkaStream",
    "nats": "esteira.serving.streams.nats:NatsStream",
}


def open_stream(url: str) -> Stream:
    """`file:FOLDER`, `nats://HOST:4222/STREAM?subject=…&durable=…` or `kafka://HOST:9092/TOPIC?group=…`.

    Raises: UnknownScheme, MissingExtra, BadInput (malformed), NotFound (no such stream), ServiceUnreachable.
    """
    stream: Stream = open_by_scheme(_STREAMS, url)
    return stream
