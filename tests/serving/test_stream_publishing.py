from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.serving.stream_worlds import GOOD, MILES, TABLE, Killed, Mortal, StreamWorld
from tests.serving.worlds import tree_model

from esteira.base.errors import ServiceUnreachable
from esteira.serving.stream_publishing import PublishedInCircle, PublishedResults
from esteira.serving.stream_results import StreamResults
from esteira.serving.streaming import Limits, StreamScorer
from esteira.serving.streams.local import LocalStream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from esteira.serving.streams.port import Stream

MIXED = [GOOD, b'{"miles": 3}', b'{"miles": 900, "carrier": "UA", "id": "mine", "key": "k"}', b"poison", GOOD]


def outbox(world: StreamWorld) -> LocalStream:
    return LocalStream(f"file:{world.folder}/outbox")


def scorer(world: StreamWorld, outlet: Stream, lives: int = 0) -> StreamScorer:
    """One that dies after so many acts, or never when that is 0."""
    left = [lives]
    tables: Any = Mortal(world.tables, {"append"}, left)
    results = StreamResults(tables, TABLE, world.stream.identity, "late", world.clock)
    mortal: Any = Mortal(outlet, {"publish"}, left)
    ledger: Any = Mortal(world.ledger(), {"plan", "passed"}, left)
    both = PublishedResults(results, world.stream, mortal)
    return StreamScorer(world.stream, world, both, ledger, Limits(2, linger_s=0.0))


def drain(world: StreamWorld, outlet: Stream, lives: int = 0) -> None:
    scorer(world, outlet, lives).run(threading.Event(), until_empty=True)


def sent(world: StreamWorld) -> list[tuple[str, dict[str, Any]]]:
    found = outbox(world).read({}, 10_000, 1 << 30, 0.0)
    return [(message.key, msgspec.json.decode(message.payload)) for message in found]


def told(world: StreamWorld) -> list[tuple[str, dict[str, Any]]]:
    """What must be sent of the rows of the table."""
    rows = [msgspec.json.decode(msgspec.json.encode(row)) for row in world.scored()]
    return [(row["key"], {name: row[name] for name in row if name != "vector"}) for row in rows]


def test_what_is_scored_is_sent_as_it_stands_in_the_table_and_nothing_else(tmp_path: Path) -> None:
    world = StreamWorld(tmp_path)
    world.stream.append(MIXED)
    drain(world, outbox(world))
    assert sent(world) == told(world)
    assert [row["id"] for _, row in sent(world)] == ["0-0", "mine", "0-4"]
    assert sent(world)[1][0] == "k"


def test_whoever_is_killed_anywhere_has_sent_each_score_or_sends_it_again_the_same(tmp_path: Path) -> None:
    repeated, lives, was_killed = 0, 0, True
    while was_killed:
        lives += 1
        world = StreamWorld(tmp_path / str(lives))
        world.stream.append(MIXED)
        try:
            drain(world, outbox(world), lives)
            was_killed = False
        except Killed:
            world.model = world.version(2, tree_model(0.1, MILES))  # it would score the rest otherwise
            drain(world, outbox(world))
        known = {row["position"]: row for _, row in told(world)}
        assert {row["position"] for _, row in sent(world)} == {*known}, lives
        assert all(row == known[row["position"]] for _, row in sent(world)), lives
        repeated += len(sent(world)) - len(known)
    assert lives > 20
    assert repeated > 0  # at least once, as it is said


def test_while_the_other_stream_is_away_it_is_waited_for(tmp_path: Path) -> None:
    class Away(LocalStream):
        left = 2

        def publish(self, payloads: Sequence[bytes], keys: Sequence[str] = ()) -> None:
            if payloads and self.left:
                self.left -= 1
                raise ServiceUnreachable("the broker", "there", "away")
            super().publish(payloads, keys)

    world = StreamWorld(tmp_path)
    world.stream.append(MIXED)
    drain(world, Away(f"file:{tmp_path}/outbox"))
    assert sent(world) == told(world)
    assert sorted(world.spots()) == [(0, position) for position in range(len(MIXED))]


def test_scores_do_not_go_where_the_messages_come_from(tmp_path: Path) -> None:
    world = StreamWorld(tmp_path)
    results = StreamResults(world.tables, TABLE, world.stream.identity, "late", world.clock)
    with pytest.raises(PublishedInCircle, match="name another stream"):
        PublishedResults(results, world.stream, LocalStream(f"file:{tmp_path}/./inbox"))
