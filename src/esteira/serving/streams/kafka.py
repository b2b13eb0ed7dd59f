"""A Kafka topic as a stream: its partitions, read from where the reader stands, in no consumer group's turns.

The partitions are assigned by hand at the reader's own places, so no rebalancing moves them. What is
committed to the group is only for whoever looks at it there.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from esteira.base.clock import SystemClock
from esteira.base.errors import BadInput, NotFound, ServiceUnreachable, UnknownName
from esteira.serving.streams.addresses import credential, parse_address
from esteira.serving.streams.port import Message, StreamMadeAnew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from confluent_kafka import Message as KafkaMessage

    from esteira.serving.streams.port import Cursor

log = logging.getLogger(__name__)

ANSWER_S = 5.0  # how long the brokers may take
PUBLISH_S = 30.0  # until messages that no broker took are given up
_LOOK_S = 30.0  # between two looks for new partitions
_AT_ONCE = 500  # messages that are taken from the library at once
_POLL_MS = 100  # that a broker may wait for more; a reader who goes elsewhere waits for it, too
_QUEUE_KB = 16_384  # that the library fetches ahead; more would be memory that nobody asked for
_SECURITY = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
_AWAY = {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE}
_GONE = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}


class KafkaStream:
    """A topic: `kafka://HOST[:PORT][,HOST…]/TOPIC?group=…&security=…&mechanism=…`.

    Another `group` (default: esteira) reads from the beginning. `security` is one of plaintext, ssl,
    sasl_plaintext, sasl_ssl; KAFKA_USERNAME and KAFKA_PASSWORD are read from the environment and asked for
    by `mechanism` (default: SCRAM-SHA-256). A topic that was deleted, made again and grown longer than before
    cannot be told from the old one: name another group then.
    Raises: BadInput (malformed), NotFound, ServiceUnreachable.
    """

    def __init__(self, url: str) -> None:
        address = parse_address(url, 9092, ("group", "security", "mechanism"))
        self.address, self._hosts, self._topic = address.shown, address.hosts, address.name
        group = address.options.get("group", "") or "esteira"
        self._settings = _settings(address.hosts, address.options)
        self._is_away = False
        self._partitions: list[int] = []
        self._next: dict[int, int] = {}  # by partition, where the reader stands
        self._heard: dict[int, int] = {}  # and where the library does
        self._oldest: dict[int, int] = {}  # when it was told so
        self._held: deque[Message] = deque()  # what lies between the two
        self._looked = 0.0
        self._producer: Producer | None = None
        self._consumer = Consumer(
            {
                **self._settings,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": _POLL_MS,
                "queued.max.messages.kbytes": _QUEUE_KB,
                "error_cb": self._hear,
            },
            logger=_quiet,
        )
        try:
            self.identity = f"kafka:{self._look()}:{self._topic}:{group}"
        except BaseException:
            self._consumer.close()
            raise

    def read(self, start: Cursor, most: int, size: int, wait_s: float) -> list[Message]:
        """See `Stream.read`."""
        found: list[Message] = []
        until, taken = time.monotonic() + wait_s, 0
        with self._answering():
            self._stand(start)
            while len(found) < most and taken < size:
                if not self._held and not self._take(min(most - len(found), _AT_ONCE), until):
                    break
                taken += len(self._held[0].payload)
                if found and taken > size:
                    break
                found.append(self._held.popleft())
                self._next[found[-1].partition] = found[-1].position + 1
            if not found and self._is_away:
                self._look()  # raises if no broker answers
                self._is_away = False
        return found

    def _take(self, most: int, until: float) -> bool:
        """Get some messages from the library; False when none came until then."""
        while not self._held:
            left = until - time.monotonic()
            for heard in self._consumer.consume(most, max(left, 0.0)):
                if self._counts(heard):
                    message = _message(heard)
                    self._held.append(message)
                    self._heard[message.partition] = message.position + 1
            if left <= 0:
                break
        return bool(self._held)

    def behind(self, start: Cursor) -> int:
        """See `Stream.behind`."""
        with self._answering():
            self._stand(start)
            rest = sum(max(self._ends(p)[1] - self._standing(p), 0) for p in self._partitions)
            return rest + len(self._held)

    def acknowledge(self, until: Cursor) -> None:
        """See `Stream.acknowledge`: commits to the group, and waits for no answer."""
        offsets = [TopicPartition(self._topic, partition, place) for partition, place in until.items()]
        if offsets:
            with self._answering():
                self._consumer.commit(offsets=offsets, asynchronous=True)

    def publish(self, payloads: Sequence[bytes], keys: Sequence[str] = ()) -> None:
        """See `Stream.publish`; messages with the same key go to the same partition."""
        if self._producer is None:
            more = {"enable.idempotence": True, "delivery.timeout.ms": int(PUBLISH_S * 1000)}
            self._producer = Producer({**self._settings, **more, "error_cb": self._hear}, logger=_quiet)
        failed: list[KafkaError] = []

        def heard(error: KafkaError | None, _message: KafkaMessage) -> None:
            if error is not None:
                failed.append(error)

        with self._answering():
            for number, payload in enumerate(payloads):
                self._offer(self._producer, payload, keys[number] if keys else "", heard)
            left = self._producer.flush(PUBLISH_S + ANSWER_S)
            if failed or left:
                raise KafkaException(failed[0] if failed else KafkaError(KafkaError._TIMED_OUT))

    def close(self) -> None:
        """See `Stream.close`."""
        with suppress(KafkaException, RuntimeError):
            self._consumer.close()

    def _offer(self, producer: Producer, payload: bytes, key: str, heard: Callable[..., None]) -> None:
        while True:
            try:
                producer.produce(self._topic, payload, key=key.encode() or None, on_delivery=heard)
            except BufferError:
                producer.poll(0.1)  # its queue is full
            else:
                producer.poll(0)
                return

    def _look(self) -> str:
        """Look for the topic's partitions; gives the name of the cluster. Raises: NotFound."""
        with self._answering():
            told = self._consumer.list_topics(self._topic, timeout=ANSWER_S)
        topic = told.topics[self._topic]
        if topic.error is not None and topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            mend = f"make it: kafka-topics.sh --create --topic {self._topic}"
            raise NotFound("Kafka topic", self._topic, mend)
        if topic.error is not None:
            raise ServiceUnreachable("Kafka", self._hosts, topic.error.str())
        self._partitions, self._looked = sorted(topic.partitions), time.monotonic()
        return str(told.cluster_id)

    def _stand(self, start: Cursor) -> None:
        """Go to a place, unless the reader is there; a partition that is new begins with its oldest."""
        if time.monotonic() - self._looked > _LOOK_S:
            self._look()
        at, oldest = self._next, self._oldest
        # A reader goes on asking for what was deleted until the partition brings it something else.
        if at.keys() == {*self._partitions} and all(at[p] == max(start.get(p, 0), oldest[p]) for p in at):
            return
        self._next = {}  # until the library stands where it should
        self._held.clear()
        self._oldest = {p: self._ends(p)[0] for p in self._partitions}
        wanted = {p: self._within(p, start.get(p)) for p in self._partitions}
        places = [TopicPartition(self._topic, p, place) for p, place in wanted.items()]
        if at.keys() == wanted.keys():  # a new assignment would take longer
            for place in places:
                self._consumer.seek(place)
        else:
            self._consumer.assign(places)
        self._next, self._heard = wanted, dict(wanted)

    def _within(self, partition: int, position: int | None) -> int:
        first, end = self._ends(partition)
        if position is not None and position > end:
            raise StreamMadeAnew(self.address, position, end, "name another group: ?group=…")
        if position is not None and position < first:
            facts = {"stream": self.address, "partition": partition, "from": position, "to": first}
            log.error("messages were deleted before they were read", extra=facts)
        return first if position is None else max(first, position)

    def _ends(self, partition: int) -> tuple[int, int]:
        place = TopicPartition(self._topic, partition)
        found: tuple[int, int] = self._consumer.get_watermark_offsets(place, timeout=ANSWER_S)
        return found

    def _standing(self, partition: int) -> int:
        """Where the library stands: behind the last message there may be marks of transactions."""
        (place,) = self._consumer.position([TopicPartition(self._topic, partition)])
        return max(self._heard[partition], place.offset if place.offset > OFFSET_INVALID else 0)

    def _counts(self, message: KafkaMessage) -> bool:
        """Whether it is the next message of its partition, and no word of the library."""
        error = message.error()
        if error is None:
            partition, offset = message.partition(), message.offset()
            return offset is not None and offset >= self._heard.get(
                partition if partition is not None else -1, 0
            )
        if error.code() in _GONE:
            self._next = {}  # the next read looks where the partition begins
        elif error.code() in _AWAY:
            self._is_away = True
        else:
            raise KafkaException(error)
        return False

    def _hear(self, error: KafkaError) -> None:
        self._is_away |= error.code() in _AWAY

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as failed:
            error = failed.args[0]
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise BadInput(f"{self.address} takes no message of this size: {error.str()}") from failed
            raise ServiceUnreachable("Kafka", self._hosts, error.str()) from None


def _settings(hosts: str, options: Mapping[str, str]) -> dict[str, Any]:
    security = options.get("security", "plaintext")
    if security not in _SECURITY:
        raise UnknownName("security of a kafka: URL", security, _SECURITY)
    found: dict[str, Any] = {"bootstrap.servers": hosts, "security.protocol": security}
    if security.startswith("sasl"):
        found |= {
            "sasl.mechanism": options.get("mechanism", "SCRAM-SHA-256"),
            "sasl.username": credential("KAFKA_USERNAME"),
            "sasl.password": credential("KAFKA_PASSWORD"),
        }
    return found


def _message(message: KafkaMessage) -> Message:
    kind, millis = message.timestamp()
    at = millis * 1000 if kind else SystemClock().micros()
    key = message.key() or b""
    partition, position, value = message.partition(), message.offset(), message.value()
    assert partition is not None and position is not None  # noqa: PT018 - it was delivered
    return Message(partition, position, at, key.decode("utf-8", "replace"), value or b"")


# The library logs every failed attempt to connect; here the one who asks says it once.
_quiet = logging.getLogger(f"{__name__}.library")
_quiet.setLevel(logging.CRITICAL)
