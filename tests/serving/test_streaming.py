"""Every message in one row of one table, whoever is killed where and whatever changes meanwhile."""

from __future__ import annotations

import json
import logging
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.parts import streams as trial
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving.stream_worlds import GOOD, MILES, Killed, StreamWorld
from tests.serving.streams.brokers import KafkaCluster, NatsServer, NatsStreams, shared_nats
from tests.serving.worlds import VIEWED, tree_model

from esteira.base.errors import ServiceUnreachable
from esteira.serving import streaming
from esteira.serving.stream_ledger import StreamTaken
from esteira.serving.stream_rows import ModelFails
from esteira.serving.streaming import Batch, Limits, after, in_order
from esteira.serving.streams import open_stream
from esteira.serving.streams.port import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.serving.streams.port import Cursor

KINDS = (GOOD, b'{"miles": 1}', b"no JSON", b'{"miles": "far", "carrier": "AA"}')


def drain(world: StreamWorld, **options: Any) -> list[Batch]:
    """Score what there is, and give the batches."""
    heard: list[Batch] = []
    world.scorer(**options).run(threading.Event(), heard.append, until_empty=True)
    return heard


@pytest.mark.parametrize("is_other", [False, True])
def test_each_act_of_a_batch_may_be_the_last_before_a_kill(tmp_path: Path, *, is_other: bool) -> None:
    lives, was_killed = 0, True
    while was_killed:  # until a scorer lives to the end
        lives += 1
        world = StreamWorld(tmp_path / str(lives))
        world.stream.append([KINDS[0], KINDS[2], KINDS[1]])
        try:
            world.scorer(Limits(2, linger_s=0.0), lives=lives).run(threading.Event(), until_empty=True)
            was_killed = False
        except Killed:
            world.stream.append([GOOD])
        if is_other:
            world.model = world.version(2, tree_model(0.1, MILES))
        drain(world, limits=Limits(3, linger_s=0.0))
        assert sorted(world.spots()) == [(0, at) for at in range(4 if was_killed else 3)], lives
    assert lives > 20


@settings(max_examples=20)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=40),
    deaths=st.lists(st.tuples(st.integers(5, 30), st.integers(1, 15), st.booleans()), min_size=1, max_size=6),
)
def test_kills_at_many_acts_lose_and_double_nothing(
    kinds: list[bytes], deaths: list[tuple[int, int, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = StreamWorld(Path(folder))
        one, other = world.model, world.version(2, tree_model(0.1, MILES))
        world.stream.append(kinds)
        for lives, most, is_other in deaths:
            world.model = other if is_other else one  # it refuses what the other one scores
            try:
                world.scorer(Limits(most, linger_s=0.0), lives=lives).run(threading.Event(), until_empty=True)
            except Killed:
                world.stream.append([GOOD])
        drain(world)
        place = world.ledger().read()
        total = world.stream.behind({})
        assert sorted(world.spots()) == [(0, position) for position in range(total)]
        assert (place.passed, place.planned, place.messages) == ({0: total}, None, total)


class Chanced:
    """A broker with partitions that delivers some messages again, in portions as chance will have it."""

    identity, address = "chanced", "chanced:"

    def __init__(self, counts: Sequence[int], seed: int) -> None:
        self._counts, self._chance = counts, random.Random(seed)

    def read(self, start: Cursor, most: int, size: int, wait_s: float) -> list[Message]:
        found = []
        for partition in self._chance.sample(range(len(self._counts)), len(self._counts)):
            first, end = start.get(partition, 0), self._counts[partition]
            for position in range(first, min(end, first + self._chance.randint(0, 5))):
                again = self._chance.randint(0, position) if self._chance.random() < 0.2 else position
                found += [Message(partition, at, 0, "", GOOD) for at in {again: 0, position: 0}]
        return found[:most]

    def behind(self, start: Cursor) -> int:
        return sum(count - start.get(partition, 0) for partition, count in enumerate(self._counts))

    def acknowledge(self, until: Cursor) -> None:
        assert all(position <= self._counts[partition] for partition, position in until.items())

    def publish(self, payloads: Sequence[bytes], keys: Sequence[str] = ()) -> None:
        raise AssertionError

    def close(self) -> None:
        """Nothing is open."""


@settings(max_examples=20)
@given(
    counts=st.lists(st.integers(0, 15), min_size=1, max_size=4),
    lives=st.lists(st.integers(3, 20), max_size=6),
    seed=st.integers(0, 99),
)
def test_partitions_in_any_portions_with_messages_that_come_again_are_each_written_once(
    counts: list[int], lives: list[int], seed: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = StreamWorld(Path(folder))
        for number, left in enumerate([*lives, 0]):
            stream = Chanced(counts, seed + number)
            try:
                world.scorer(Limits(7, linger_s=0.0), stream=stream, lives=left).run(
                    threading.Event(), until_empty=True
                )
            except Killed:
                continue
        expected = [(partition, at) for partition, count in enumerate(counts) for at in range(count)]
        assert sorted(world.spots()) == expected


def test_what_comes_again_or_from_before_is_passed_over_and_nothing_else() -> None:
    came = [Message(p, at, 0, "", b"") for p, at in [(0, 3), (1, 0), (0, 2), (0, 3), (1, 2), (1, 1), (2, 9)]]
    kept = in_order(came, {0: 3, 1: 0})
    assert [(m.partition, m.position) for m in kept] == [(0, 3), (1, 0), (1, 2), (2, 9)]
    assert after({0: 3, 1: 0, 5: 5}, kept) == {0: 4, 1: 3, 2: 10, 5: 5}


def test_a_poison_message_is_kept_aside_with_its_reason_and_the_stream_goes_on(tmp_path: Path) -> None:
    world = StreamWorld(tmp_path)
    world.stream.append([GOOD, b"\xff\xfe", GOOD, b'{"milse": 1, "carrier": "AA"}', GOOD])
    assert [(b.scored, b.rejected, b.version) for b in drain(world) if b.messages] == [(3, 2, "1")]
    first, second = world.rejected()
    assert (first["position"], first["payload"]) == (1, b"\xff\xfe")
    assert "not JSON" in first["reason"]
    assert "did you mean 'miles'" in second["reason"]
    assert [row["position"] for row in world.scored()] == [0, 2, 4]


def test_a_new_champion_scores_from_the_next_batch_on_and_each_row_says_who_scored_it(tmp_path: Path) -> None:
    world = StreamWorld(tmp_path)
    world.stream.append([GOOD] * 4)
    scorer = world.scorer(Limits(2, linger_s=0.0))
    assert scorer.step().version == "1"
    world.model = world.version(2, tree_model(0.9))
    assert scorer.step().version == "2"
    rows = world.scored()
    assert [row["version"] for row in rows] == [1, 1, 2, 2]
    assert rows[0]["score"] != rows[3]["score"]


def test_no_more_messages_are_in_memory_than_the_limit(tmp_path: Path) -> None:
    world = StreamWorld(tmp_path)
    world.stream.append([GOOD] * 95)
    assert [batch.messages for batch in drain(world, limits=Limits(10, linger_s=0.0))] == [*[10] * 9, 5, 0]
    world.stream.append([b" " * 1_000 + GOOD] * 10)
    sizes = [batch.messages for batch in drain(world, limits=Limits(100, size=3_000, linger_s=0.0))]
    assert max(sizes) <= 4
    assert sum(sizes) == 10


def test_stopping_finishes_the_batch_in_hand(tmp_path: Path) -> None:
    world, stop = StreamWorld(tmp_path), threading.Event()
    world.stream.append([GOOD] * 30)
    world.scorer(Limits(10, linger_s=0.0)).run(stop, lambda _batch: stop.set())
    place = world.ledger().read()
    assert (place.passed, place.planned) == ({0: 10}, None)
    assert len(world.scored()) == 10


def test_a_stream_without_messages_is_waited_at_until_one_comes(tmp_path: Path) -> None:
    world, stop = StreamWorld(tmp_path), threading.Event()

    def heard(batch: Batch) -> None:
        if batch.messages:
            stop.set()

    later = threading.Timer(0.3, world.stream.append, ([GOOD],))
    later.start()
    world.scorer(Limits(10, linger_s=0.1)).run(stop, heard)
    later.join()
    assert len(world.scored()) == 1


def test_two_at_once_for_one_table_are_refused(tmp_path: Path) -> None:
    world = StreamWorld(tmp_path)
    with world.ledger().exclusive(), pytest.raises(StreamTaken, match="end it first"):
        drain(world)
    assert drain(world)[-1].messages == 0


def test_features_are_read_from_the_online_store_at_the_moment_of_scoring(tmp_path: Path) -> None:
    world = StreamWorld(tmp_path)
    world.model = world.version(1, tree_model(0.5, VIEWED))
    world.stream.append(
        [b'{"miles": 1, "origin": "JFK"}', b'{"miles": 1}', b'{"miles": 1, "weather__visib": 2}']
    )
    drain(world)
    (row,) = world.scored()
    assert row["vector"][0] == 1.0
    assert ["key of features" in each["reason"] for each in world.rejected()] == [True, False]
    assert "feature view 'weather'" in world.rejected()[1]["reason"]


class Failing:
    """A stream or model that is away for some calls."""

    def __init__(self, inner: Any, act: str, times: int) -> None:
        self._inner, self._act, self.left = inner, act, times

    def __getattr__(self, name: str) -> Any:
        if name == self._act and self.left:
            self.left -= 1
            raise ServiceUnreachable("NATS", "somewhere:1", "it sleeps")
        return getattr(self._inner, name)


@pytest.mark.parametrize("act", ["read", "behind"])
def test_a_broker_that_is_away_is_waited_for_ever_longer_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, act: str
) -> None:
    monkeypatch.setattr(streaming, "FIRST_WAIT_S", 0.001)
    world = StreamWorld(tmp_path)
    world.stream.append([GOOD] * 3)
    stream: Any = Failing(world.stream, act, 5)
    with caplog.at_level(logging.WARNING, "esteira.serving.streaming"):
        drain(world, stream=stream)
    assert stream.left == 0
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "NATS at somewhere:1 does not answer" in caplog.records[0].message
    assert sorted(world.spots()) == [(0, 0), (0, 1), (0, 2)]


def test_a_broker_that_does_not_hear_what_is_done_hears_it_with_the_next_batch(tmp_path: Path) -> None:
    world = StreamWorld(tmp_path)
    world.stream.append([GOOD] * 4)
    stream: Any = Failing(world.stream, "acknowledge", 1)
    batches = drain(world, stream=stream, limits=Limits(2, linger_s=0.0))
    assert [batch.messages for batch in batches] == [2, 2, 0]
    assert stream.left == 0


def test_a_stop_ends_the_wait_for_a_broker(tmp_path: Path) -> None:
    world, stop = StreamWorld(tmp_path), threading.Event()
    stream: Any = Failing(world.stream, "read", 10**9)
    threading.Timer(0.3, stop.set).start()
    begun = time.monotonic()
    world.scorer(stream=stream).run(stop)
    assert time.monotonic() - begun < 5


def test_a_model_that_fails_on_everything_leaves_the_messages_where_they_are(tmp_path: Path) -> None:
    world = StreamWorld(tmp_path)
    world.stream.append([GOOD] * 25)

    class Broken:
        @staticmethod
        def predict(matrix: object) -> object:
            raise ArithmeticError("no")

        predict_row = predict

    world.model.__dict__["runtime"] = Broken()
    with pytest.raises(ModelFails, match="deploy another version"):
        drain(world)
    assert world.spots() == []
    world.model = world.version(2, tree_model(0.5))
    drain(world)
    assert len(world.scored()) == 25


def prepared(folder: Path, url: str, messages: int) -> Path:
    trial.prepare(folder)
    stream = open_stream(url)
    trial.publish(stream, 0, messages)
    stream.close()
    return folder


def rows_of(messages: int) -> tuple[int, int]:
    poison = sum(map(trial.is_poison, range(messages)))
    return messages - poison, poison


@pytest.mark.slow
def test_twenty_thousand_messages_of_a_local_log_survive_twelve_kills(tmp_path: Path) -> None:
    url = f"file:{tmp_path}/inbox"
    prepared(tmp_path, url, 20_000)
    assert trial.kill_until_done(tmp_path, url, 12, batch=500) >= 5  # of twelve; it may be done before
    assert trial.count(tmp_path, 20_000) == trial.Counted(*rows_of(20_000), lost=0, doubled=0, wrong=0)


@pytest.mark.slow
def test_twenty_thousand_messages_of_jetstream_survive_twelve_kills(tmp_path: Path) -> None:
    server = shared_nats()
    try:
        url = f"{server.make()}&durable=scorer"
        prepared(tmp_path, url, 20_000)
        assert trial.kill_until_done(tmp_path, url, 12, batch=500) >= 5
        assert trial.count(tmp_path, 20_000) == trial.Counted(*rows_of(20_000), lost=0, doubled=0, wrong=0)
    finally:
        server.close()


@pytest.mark.slow
def test_the_partitions_of_a_topic_survive_kills(tmp_path: Path) -> None:
    cluster = KafkaCluster()
    try:
        url = cluster.make()
        prepared(tmp_path, url, 10_000)
        assert trial.kill_until_done(tmp_path, url, 5, batch=1_000) >= 2
        assert trial.count(tmp_path, 10_000) == trial.Counted(*rows_of(10_000), lost=0, doubled=0, wrong=0)
    finally:
        cluster.kill()


@pytest.mark.slow
def test_a_server_that_is_killed_in_mid_run_and_comes_back_costs_no_message(tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    server = NatsServer(tmp_path / "nats")
    try:
        url = server.start().make("RUN")
        prepared(tmp_path, url, 12_000)
        world, heard = NatsStreams(server.host), 0
        stream = open_stream(url)
        scorer = trial.scorer(tmp_path, stream, 500)

        def kill(_batch: Batch) -> None:
            nonlocal heard
            heard += 1
            if heard in {3, 9}:
                server.kill()
                threading.Timer(0.7, server.start).start()

        scorer.run(threading.Event(), kill, until_empty=True)
        assert heard > 20
        assert world.consumers("RUN")
        stream.close()
        assert trial.count(tmp_path, 12_000) == trial.Counted(*rows_of(12_000), lost=0, doubled=0, wrong=0)
    finally:
        server.kill()


def test_the_counts_of_a_trial_find_what_is_lost_doubled_or_wrong(tmp_path: Path) -> None:
    url = f"file:{tmp_path}/inbox"
    prepared(tmp_path, url, 2_000)
    trial.timed(tmp_path, url, 500)
    right = trial.count(tmp_path, 2_000)
    assert (right.lost, right.doubled, right.wrong) == (0, 0, 0)
    assert trial.count(tmp_path, 2_010).lost == 10
    tables = trial.open_tables(f"delta:{tmp_path}/tables")
    rows = tables.read(trial.TABLE)
    tables.append(trial.TABLE, rows.slice(0, 7))
    assert trial.count(tmp_path, 2_000).doubled == 7
    changed = rows.slice(0, 1).set_column(rows.column_names.index("id"), "id", [["5"]])
    tables.append(trial.TABLE, changed)
    assert trial.count(tmp_path, 2_000).wrong == 1
    assert json.loads(trial.payload(5))["id"] == "5"
