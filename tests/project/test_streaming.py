"""A project's champion at a stream: followed, pinned, passed over when it cannot be loaded."""

from __future__ import annotations

import logging
import shutil
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.project.scored import flights, lay_late
from tests.serving.worlds import PLAIN, tree_model

from esteira.base.clock import to_micros
from esteira.base.errors import BadInput, NotFound
from esteira.base.sqlite import Database
from esteira.project.feed import OnlineFeed
from esteira.project.release import deploy
from esteira.project.station import Station, open_station
from esteira.project.streaming import FollowedModel, stream_scorer
from esteira.serving.combining import fallback
from esteira.serving.runtimes import open_runtime
from esteira.serving.stream_results import rejected_of
from esteira.serving.streaming import Limits
from esteira.serving.streams.local import LocalStream

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.registry.columns import Column

TABLE = "scores"


def value_of(column: Column) -> Any:
    return column.categories[0] if column.kind == "category" else 1.5


def row_of(model: FollowedModel) -> dict[str, Any]:
    """What a message must bring for a version: its request columns, and the keys of its views."""
    loaded = model.current()
    requested = {column.name: value_of(column) for column in loaded.signature.request_columns}
    return dict.fromkeys(loaded.fields, "1") | requested


def stream_of(station: Station, *rows: Any) -> LocalStream:
    stream = LocalStream(f"file:{station.settings.root}/inbox")
    stream.append([msgspec.json.encode(row) for row in rows])
    return stream


def drain(station: Station, stream: LocalStream, version: int | None = None) -> list[dict[str, Any]]:
    scorer = stream_scorer(station, stream, TABLE, version=version, limits=Limits(50, linger_s=0.0))
    scorer.run(threading.Event(), until_empty=True)
    return station.tables.read(TABLE).to_pylist()


def test_messages_are_scored_by_the_champion_with_the_features_of_the_store(station: Station) -> None:
    now = station.clock.now()
    OnlineFeed(station.project.views, station.online, station.ledger).catch_up(station.tables, now)
    row = row_of(FollowedModel(station))
    stream = stream_of(station, {**row, "id": "first"}, {"stranger": 1})
    (scored,) = drain(station, stream)
    champion = FollowedModel(station).current()
    assert (scored["id"], scored["version"], scored["model"]) == ("first", 1, station.project.name)
    vector = champion.encode(dict(row), to_micros(now))
    assert msgspec.json.encode(scored["vector"]) == msgspec.json.encode(vector)
    assert scored["score"] == champion.runtime.predict_row(vector)
    (refused,) = station.tables.read(rejected_of(TABLE)).to_pylist()
    assert "stranger" in refused["reason"]


@pytest.mark.parametrize("name", ["predictions", "shadows", "flights_quarantine", "no/name"])
def test_a_table_that_the_project_fills_itself_takes_no_results(station: Station, name: str) -> None:
    before = station.tables.names()
    with pytest.raises(BadInput, match=r"filled by the project itself|cannot name a table"):
        stream_scorer(station, stream_of(station), name)
    assert station.tables.names() == before


def test_a_new_champion_is_followed_and_a_pinned_version_stays(two: Station) -> None:
    row = row_of(FollowedModel(two))
    stream = stream_of(two, row)
    pinned = FollowedModel(two, 1)
    assert [each["version"] for each in drain(two, stream)] == [1]
    deploy(two, 2, "a try")
    stream_of(two, row)
    assert [each["version"] for each in drain(two, stream)] == [1, 2]
    assert pinned.current().arm.version == 1
    stream_of(two, row)
    assert [each["version"] for each in drain(two, stream, version=1)] == [1, 2, 1]


def test_members_of_a_combination_are_waited_for_in_a_stream(tmp_path: Path) -> None:
    deep, fast = tree_model(0.5), tree_model(-0.5)
    late = lay_late(tmp_path / "late", fallback({"deep": deep, "fast": fast}, deadlines_ms={"deep": 1e-6}))
    rows = flights(50).drop_columns(["id"]).to_pylist()
    found = drain(late, stream_of(late, *rows))
    expected = open_runtime(deep).predict(PLAIN.encode_table(flights(50))).tolist()
    assert [row["score"] for row in found] == expected


def test_a_champion_that_cannot_be_loaded_is_passed_over_and_logged_once(
    two: Station, caplog: pytest.LogCaptureFixture
) -> None:
    model = FollowedModel(two)
    deploy(two, 2, "a try")
    digest = two.version(2).digest
    shutil.rmtree(two.artifacts.folder(digest))
    with caplog.at_level(logging.ERROR, "esteira.project.streaming"):
        assert [model.current().arm.version for _ in range(3)] == [1, 1, 1]
    assert len(caplog.records) == 1
    deploy(two, 1, "back")
    assert model.current().arm.version == 1


def test_a_project_without_champion_says_how_to_get_one(fresh: Path) -> None:
    station = open_station(fresh)
    with pytest.raises(NotFound, match="deploy one: esteira deploy N"):
        FollowedModel(station)


def test_a_version_that_is_not_there_is_bad_input(station: Station) -> None:
    with pytest.raises(BadInput):
        FollowedModel(station, 99)


def test_the_place_in_the_stream_is_kept_in_the_state_database(station: Station) -> None:
    stream = stream_of(station, *[{"stranger": 1}] * 3)
    drain(station, stream)
    (row,) = Database(station.settings.store("state")).rows("SELECT * FROM stream_places")
    assert (row["result"], row["stream"], row["messages"]) == (TABLE, stream.identity, 3)
