from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from tests.serving.shadow.asked import AT, ROW, Shadows, mirrored
from tests.serving.worlds import NOON, VIEWED, tree_model, tree_score

from esteira.base.clock import to_micros
from esteira.features.views import FeatureView
from esteira.serving.mirroring.messages import Told
from esteira.serving.shadow import asking as room

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shadows(tmp_path: Path) -> Shadows:
    return Shadows(tmp_path, tree_model(-2.0))


def test_an_answer_is_kept_under_the_id_of_the_one_before_it(shadows: Shadows) -> None:
    shadows.asking.ask([mirrored({"inputs": ROW})])
    assert shadows.asking.told() == [Told("late", 2, 1, 0)]
    (answer,) = shadows.answers()
    assert (answer["id"], answer["key"], answer["arm"], answer["version"]) == ("f1", "ana", "next", 2)
    assert (answer["revision"], to_micros(answer["at"])) == (7, AT)
    assert answer["score"] == tree_score(-2.0)
    assert answer["vector"][:2] == [100.0, 1.0]
    assert 0 < answer["latency"] < 5


def test_rows_of_one_request_have_the_ids_that_they_have_in_predictions(shadows: Shadows) -> None:
    rows = [{**ROW, "miles": miles} for miles in (100, 600, 200)]
    shadows.asking.ask([mirrored({"dataframe_records": rows})])
    assert shadows.asking.told() == [Told("late", 2, 1, 0)]  # one request
    assert [each["id"] for each in shadows.answers()] == ["f1", "f1#1", "f1#2"]
    assert [each["score"] for each in shadows.answers()] == [
        tree_score(-2.0),
        tree_score(3.0),
        tree_score(-2.0),
    ]


def test_what_a_version_does_not_answer_is_a_failure_and_the_next_is_asked(shadows: Shadows) -> None:
    wrong = [
        mirrored(b"no json", id="f2"),
        mirrored({"inputs": {"miles": "far", "carrier": "UA"}}, id="f3"),
        mirrored({"inputs": ROW}, id="f4", targets=(("next", 9),)),
        mirrored({}, "smtp", id="f5"),
    ]
    shadows.asking.ask([*wrong, mirrored({"inputs": ROW})])
    assert sorted(shadows.asking.told()) == [Told("late", 2, 1, 3), Told("late", 9, 0, 1)]
    found = {each["id"]: (each["status"], each["version"]) for each in shadows.failures()}
    assert found == {"f2": (400, 2), "f3": (400, 2), "f4": (503, 9), "f5": (400, 2)}
    reasons = {each["id"]: each["reason"] for each in shadows.failures()}
    assert "miles" in reasons["f3"]
    assert reasons["f4"].startswith("NotHeld: ")
    assert [each["id"] for each in shadows.answers()] == ["f1"]


def test_a_request_is_asked_of_each_shadow_that_it_is_for(tmp_path: Path) -> None:
    shadows = Shadows(tmp_path, tree_model(-2.0), tree_model(-3.0))
    shadows.asking.ask([mirrored({"inputs": ROW}, targets=(("next", 2), ("next", 3)))])
    assert sorted(shadows.asking.told()) == [Told("late", 2, 1, 0), Told("late", 3, 1, 0)]
    found = {(each["version"], each["score"]) for each in shadows.answers()}
    assert found == {(2, tree_score(-2.0)), (3, tree_score(-3.0))}


def test_features_are_read_for_the_moment_of_the_request(tmp_path: Path) -> None:
    shadows = Shadows(tmp_path, tree_model(-2.0, VIEWED))
    view = FeatureView("weather", ("origin",), ("visib",), "weather")
    rows = pa.table({"origin": ["JFK"], "event_ts": [NOON], "visib": [7.5]})
    shadows.world.online.write(view, rows)
    noon = to_micros(NOON)
    for at, name in ((noon, "f1"), (noon - 1, "f2")):
        shadows.asking.ask([mirrored({"inputs": {"miles": 1, "origin": "JFK"}}, at=at, id=name)])
    shadows.asking.told()
    first, second = (each["vector"][1] for each in shadows.answers())
    assert first == 7.5
    assert np.isnan(second)  # nothing of it was known then


def test_nothing_is_told_before_it_is_on_disk(shadows: Shadows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "AGAIN_S", 0.01)
    assert not shadows.asking.has_news
    shadows.asking.ask([mirrored({"inputs": ROW})])
    assert shadows.asking.has_news
    may_write = threading.Event()
    from esteira.monitoring import segments

    real = segments.os.write

    def write(handle: int, content: memoryview) -> int:
        if not may_write.is_set():
            raise OSError(28, "no space left")
        return real(handle, content)

    monkeypatch.setattr("esteira.monitoring.segments.os.write", write)
    told: list[Told] = []
    thread = threading.Thread(target=lambda: told.extend(shadows.asking.told()))
    thread.start()
    time.sleep(0.2)
    assert told == []
    may_write.set()
    thread.join(10)
    assert told == [Told("late", 2, 1, 0)]
    assert [each["id"] for each in shadows.answers()] == ["f1"]
    assert not shadows.asking.has_news
