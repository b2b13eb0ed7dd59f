"""A Kafka topic as a stream, on the cluster that librdkafka brings along for tests: its protocol is real."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from tests.contracts.stream import WIDE, StreamContract, payloads, read_all
from tests.serving.streams.brokers import KafkaCluster

from esteira.base.errors import BadInput, NotFound, ServiceUnreachable, UnknownName
from esteira.serving.streaming import after
from esteira.serving.streams import open_stream
from esteira.serving.streams.kafka import KafkaStream
from esteira.serving.streams.port import StreamMadeAnew

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow  # a broker in a process of its own


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    found = KafkaCluster()
    yield found
    found.kill()


class TestKafkaStream(StreamContract):
    @pytest.fixture(autouse=True)
    def _streams(self, cluster: KafkaCluster, tmp_path: Path) -> Iterator[None]:
        self.opened, self.url = [], cluster.make()
        yield
        for stream in self.opened:
            stream.close()


def test_every_partition_is_read_and_each_goes_on_by_itself(cluster: KafkaCluster) -> None:
    stream = open_stream(cluster.make())
    sent = [str(number).encode() for number in range(200)]
    stream.publish(sent, [str(number) for number in range(200)])
    found = read_all(stream, 200)
    assert sorted(payloads(found)) == sorted(sent)
    at = after({}, found)
    assert len(at) == 4
    assert sum(at.values()) == 200
    back = {**at, 2: at[2] - 3}
    assert [message.partition for message in read_all(stream, 3, back)] == [2, 2, 2]
    stream.close()


def test_the_group_shows_what_was_acknowledged(cluster: KafkaCluster) -> None:
    url = cluster.make()
    topic = url.rpartition("/")[2].partition("?")[0]
    stream = open_stream(url)
    stream.publish([b"x"] * 10, ["k"] * 10)
    found = read_all(stream, 10)
    stream.acknowledge(after({}, found[:7]))
    asking = Consumer({"bootstrap.servers": cluster.host, "group.id": "g"})
    partition = found[0].partition
    until = time.monotonic() + 10
    committed = -1
    while committed != 7 and time.monotonic() < until:
        committed = asking.committed([TopicPartition(topic, partition)], timeout=5)[0].offset
    assert committed == 7
    asking.close()
    stream.close()


def test_a_topic_that_ends_before_the_place_of_its_reader_is_another_one(cluster: KafkaCluster) -> None:
    stream = open_stream(cluster.make())
    stream.publish([b"x"], ["k"])
    with pytest.raises(StreamMadeAnew, match="name another group"):
        stream.read({0: 99, 1: 99, 2: 99, 3: 99}, 1, WIDE, 0.1)
    stream.close()


def test_messages_that_were_deleted_unread_are_told_of_once_and_cost_no_search(
    cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stream = open_stream(cluster.make())
    assert isinstance(stream, KafkaStream)
    stream.publish([str(number).encode() for number in range(40)], [str(number) for number in range(40)])
    ends, asked = stream._ends, []

    def expired(partition: int) -> tuple[int, int]:
        """As if the time of all messages of partition 0 were over; the test's broker keeps everything."""
        asked.append(partition)
        return (ends(0)[1], ends(0)[1]) if partition == 0 else ends(partition)

    monkeypatch.setattr(stream, "_ends", expired)
    start: dict[int, int] = dict.fromkeys(range(4), 0)
    found = read_all(stream, 40 - ends(0)[1], start, most=10)
    assert {message.partition for message in found} == {1, 2, 3}
    searched = len(asked)
    for _ in range(3):
        assert stream.read(after(start, found), 5, WIDE, 0.1) == []
    assert len(asked) == searched
    assert [record.levelname for record in caplog.records if "deleted" in record.message] == ["ERROR"]
    stream.close()


def test_what_is_wrong_with_a_url_is_said_with_its_mend(cluster: KafkaCluster) -> None:
    with pytest.raises(NotFound, match=r"kafka-topics\.sh --create --topic nonesuch"):
        open_stream(f"kafka://{cluster.host}/nonesuch")
    with pytest.raises(ServiceUnreachable, match="start it or correct its URL"):
        open_stream("kafka://127.0.0.1:9/orders")
    with pytest.raises(UnknownName, match="sasl_ssl"):
        open_stream(f"kafka://{cluster.host}/orders?security=sasl_sssl")
    with pytest.raises(BadInput, match="KAFKA_PASSWORD"):
        open_stream(f"kafka://me:secret@{cluster.host}/orders")


def test_a_broker_that_answers_nothing_is_waited_for_and_nothing_is_lost(cluster: KafkaCluster) -> None:
    stream = open_stream(cluster.make())
    stream.publish([b"before"], ["k"])
    found = read_all(stream, 1)
    cluster.freeze()
    try:
        assert stream.read(after({}, found), 5, WIDE, 0.5) == []
        with pytest.raises(ServiceUnreachable):
            stream.behind(after({}, found))
    finally:
        cluster.thaw()
    other = open_stream(stream.address)
    other.publish([b"after"], ["k"])
    assert payloads(read_all(stream, 1, after({}, found))) == [b"after"]
    other.close()
    stream.close()


def test_a_place_that_could_not_be_taken_is_not_taken_for_taken(
    cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = open_stream(cluster.make())
    assert isinstance(stream, KafkaStream)
    stream.publish([str(number).encode() for number in range(30)], ["k"] * 30)
    found = read_all(stream, 30)
    back = {**after({}, found), found[0].partition: 5}
    consumer = stream._consumer

    class Refusing:
        """The library while its broker is away: it cannot be moved."""

        def __getattr__(self, name: str) -> object:
            return getattr(consumer, name)

        def seek(self, place: object) -> None:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    with monkeypatch.context() as patch:
        patch.setattr(stream, "_consumer", Refusing())
        with pytest.raises(ServiceUnreachable):
            stream.read(back, 1, WIDE, 0.1)
    assert read_all(stream, 25, back) == found[5:]
    stream.close()


def test_a_broker_that_is_gone_is_said() -> None:
    cluster = KafkaCluster()
    stream = open_stream(cluster.make())
    stream.publish([b"x"] * 3, ["k"] * 3)
    found = read_all(stream, 3)
    cluster.kill()
    with pytest.raises(ServiceUnreachable, match=cluster.host):  # noqa: PT012 - it may take a moment to be noticed
        for _ in range(20):
            stream.read(after({}, found), 5, WIDE, 0.5)
    stream.close()


def test_a_message_that_is_too_large_is_bad_input(cluster: KafkaCluster) -> None:
    stream = open_stream(cluster.make())
    with pytest.raises(BadInput, match="takes no message of this size"):
        stream.publish([b"x" * 2_000_000])
    stream.close()
