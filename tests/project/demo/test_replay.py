from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pytest
from tests.project.demo.recorder import Recorder
from tests.project.worlds import LIVE, clock_of, rehearsal_of

from esteira.base.clock import SimulatedClock, to_micros
from esteira.base.errors import BadInput, UnknownName
from esteira.features.ledger import FeatureLedger
from esteira.features.stores import open_store
from esteira.project.definition import Rehearsal, TableSource
from esteira.project.demo.client import ReplayClient
from esteira.project.demo.replay import Ordered, Replay, publications
from esteira.project.feed import OnlineFeed
from esteira.project.ingesting import SourceFailed
from esteira.project.release import load_model
from esteira.registry.signature import Column, Signature

if TYPE_CHECKING:
    from esteira.project.station import Station

HOUR = timedelta(hours=1)
TIME = pa.timestamp("us", tz="UTC")
START = datetime(2020, 3, 1, tzinfo=UTC)
SIGNATURE = Signature((Column("miles"), Column("carrier", "category", ("AA",), optional=True)), "late")


def times(*hours: float) -> pa.Array:
    return pa.array([START + hour * HOUR for hour in hours], TIME)


def questions(*hours: float) -> pa.Table:
    names = [f"q{at}" for at in range(len(hours))]
    carriers = ["AA", None] * len(hours)
    return pa.table(
        {"id": names, "at": times(*hours), "miles": [100.0] * len(hours), "carrier": carriers[: len(hours)]}
    )


def rehearsal(asked: pa.Table) -> Rehearsal:
    return Rehearsal(lambda: asked, "id", "at", "landings", "late", "landed", HOUR)


LANDINGS = pa.table(
    {
        "id": ["q0", "q1", "q2"],
        "published_at": times(2, 3, 3),
        "landed": times(1.5, 2.5, 2.75),
        "late": pa.array([True, None, False]),
    }
)


@dataclass
class Scene:
    """A replay of a few questions against a recorder."""

    asked: pa.Table

    def __enter__(self) -> Self:
        self.server = Recorder()
        self.client = ReplayClient(self.server.url, connections=1)
        self.clock = SimulatedClock(start=START)
        published = {"landings": Ordered.by(LANDINGS, "published_at")}
        feed = OnlineFeed((), open_store("memory:"), FeatureLedger("sqlite::memory:"))
        self.replay = Replay(rehearsal(self.asked), published, self.clock, feed, self.client)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.server.__exit__(None, None, None)

    def heard(self) -> list[str]:
        """What came, in order: the ids of questions, and of labels in brackets."""
        return [
            str([label["id"] for label in document]) if path == "/labels" else document["id"]
            for path, document in self.server.asked
        ]


def test_rows_are_found_between_two_moments() -> None:
    ordered = Ordered.by(questions(3, 1, 2), "at")
    assert ordered.rows["id"].to_pylist() == ["q1", "q2", "q0"]
    found = ordered.between(to_micros(START + HOUR), to_micros(START + 3 * HOUR))
    assert found["id"].to_pylist() == ["q2", "q0"]  # the first moment not included, the last is


def test_each_question_is_asked_at_its_moment_after_what_was_published_by_then() -> None:
    with Scene(questions(0, 1, 3, 5)) as scene:
        scene.replay.until(START + 4 * HOUR, "late", SIGNATURE)
        assert scene.heard() == ["q0", "q1", "['q0']", "['q2']", "q2"]
        assert scene.clock.now() == START + 4 * HOUR
        scene.replay.until(START + 6 * HOUR, "late", SIGNATURE)
        assert scene.heard()[5:] == ["q3"]


def test_a_question_is_the_request_that_a_caller_would_send() -> None:
    with Scene(questions(0, 0)) as scene:
        scene.replay.until(START + HOUR, "late", SIGNATURE)
        assert scene.server.asked[1] == (
            "/v2/models/late/infer",
            {
                "id": "q1",
                "inputs": [
                    {"name": "miles", "shape": [1], "datatype": "FP64", "data": [100.0]},
                    {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": [None]},
                ],
            },
        )


def test_a_label_carries_when_it_became_true_and_an_unknown_outcome_is_none() -> None:
    with Scene(questions(0)) as scene:
        scene.replay.until(START + 4 * HOUR, "late", SIGNATURE)
        labels = [label for path, document in scene.server.asked if path == "/labels" for label in document]
    assert labels == [
        {"id": "q0", "value": 1, "observed_at": to_micros(START + 1.5 * HOUR)},
        {"id": "q2", "value": 0, "observed_at": to_micros(START + 2.75 * HOUR)},
    ]


def test_a_question_between_two_steps_is_refused() -> None:
    with pytest.raises(BadInput, match="questions are asked at whole steps of 1:00:00, found one at 2020"):
        Scene(questions(0, 0.5)).__enter__()


def test_questions_without_what_the_model_asks_for_are_refused() -> None:
    scene = Scene(questions(0).drop_columns(["carrier"]))
    with scene, pytest.raises(UnknownName, match="column of the rehearsal's questions 'carrier'"):
        scene.replay.until(START + HOUR, "late", SIGNATURE)


def test_what_is_published_has_passed_the_checks(station: Station) -> None:
    found = publications(station.project.tables, LIVE, LIVE + 24 * HOUR)
    assert set(found) == {"events", "measurements"}
    loads = found["events"].rows["load"].to_pylist()
    assert loads
    assert all(0.5 <= load <= 99.5 for load in loads)
    assert publications(station.project.tables, LIVE, LIVE) == {}


def test_a_source_that_fails_is_named() -> None:
    def broken(since: datetime, until: datetime) -> pa.Table:
        raise OSError("down")

    with pytest.raises(SourceFailed, match="source 'events'"):
        publications([TableSource("events", broken)], START, START + HOUR)


def test_features_are_in_the_store_before_the_question(station: Station) -> None:
    seen: list[Any] = []

    class Watching(ReplayClient):
        def send(self, sent: Any) -> None:
            if sent and b"/infer" in sent[0]:
                row = station.online.read("climate", ("S0",))
                seen.append(None if row is None else row.created_us)

    with Recorder() as server, Watching(server.url, connections=1) as client:
        feed = OnlineFeed(station.project.views, station.online, station.ledger)
        feed.catch_up(station.tables, LIVE - HOUR)
        published = publications(station.project.tables, LIVE - HOUR, LIVE + 6 * HOUR)
        replay = Replay(rehearsal_of(station), published, clock_of(station), feed, client)
        replay.until(LIVE + 6 * HOUR, "pump", load_model(station, station.version(1)).signature)
    assert len(seen) == 6
    assert seen == sorted(seen)
    assert seen[-1] >= to_micros(LIVE + 4 * HOUR)  # a measurement may be missing, not two in a row


def test_a_rehearsal_is_data(station: Station) -> None:
    assert replace(rehearsal_of(station), step=2 * HOUR).step == 2 * HOUR
