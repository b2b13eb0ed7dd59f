"""Features over HTTP: the same cells, with the same status, as in Python."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.serving.worlds import NOON, World

from esteira.base.clock import to_micros
from esteira.features.views import FeatureView

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.serving.http.messages import Response

HOUR = timedelta(hours=1)
WEATHER = FeatureView("weather", ("origin",), ("temp", "sky"), "weather", "hour", ttl=3 * HOUR)
ROUTE = FeatureView("route", ("origin", "number"), ("miles",), "routes", "hour")


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    hours = [NOON - HOUR, NOON - 4 * HOUR, NOON - 2 * HOUR]
    weather = {
        "origin": ["JFK", "EWR", "LGA"],
        "hour": hours,
        "temp": [20.5, 1.0, None],
        "sky": ["clear", "fog", "rain"],
    }
    world.online.write(WEATHER, pa.table(weather))
    world.online.write(ROUTE, pa.table({"origin": ["JFK"], "number": [7], "hour": [NOON], "miles": [2475]}))
    return world


def said(response: Response, status: int = 200) -> Any:
    assert response.status == status, response.body
    return json.loads(response.body)


def post(world: World, path: str, document: object, status: int = 200) -> Any:
    return said(world.post(path, json.dumps(document).encode()), status)


def test_the_views_are_listed_with_their_keys_features_and_ttl(world: World) -> None:
    assert said(world.get("/features")) == {
        "views": {
            "route": {"keys": ["origin", "number"], "features": {"miles": "number"}, "ttl_seconds": None},
            "weather": {
                "keys": ["origin"],
                "features": {"temp": "number", "sky": "text"},
                "ttl_seconds": 10800.0,
            },
        }
    }


def test_one_entity_is_asked_for_in_the_address(world: World) -> None:
    assert said(world.get("/features/weather?origin=JFK")) == {
        "columns": ["weather__temp", "weather__sky"],
        "values": [[20.5, "clear"]],
        "status": [["present", "present"]],
    }
    assert said(world.get("/features/route?number=7&origin=JFK"))["values"] == [[2475.0]]


def test_every_cell_of_many_entities_says_why_it_is_empty(world: World) -> None:
    entities = [{"origin": name} for name in ("JFK", "EWR", "LGA", "nowhere", None)]
    found = post(world, "/features/weather", {"entities": entities})
    assert found["status"] == [
        ["present", "present"],
        ["expired", "expired"],
        ["null", "present"],
        ["missing", "missing"],
        ["missing", "missing"],
    ]
    assert found["values"][1:] == [[None, None], [None, "rain"], [None, None], [None, None]]


def test_several_views_and_single_features_are_read_at_once(world: World) -> None:
    asked = {"features": ["weather__sky", "route"], "entities": [{"origin": "JFK", "number": 7}]}
    found = post(world, "/features", asked)
    assert (found["columns"], found["values"]) == (["weather__sky", "route__miles"], [["clear", 2475.0]])
    one = {"features": ["temp"], "entities": [{"origin": "JFK"}]}
    assert post(world, "/features/weather", one)["columns"] == ["weather__temp"]


def test_the_ttl_counts_to_its_last_moment_whenever_one_asks(world: World) -> None:
    last = to_micros(NOON + 2 * HOUR)
    for at, status in ((last, "present"), (last + 1, "expired"), (to_micros(NOON - HOUR) - 1, "missing")):
        found = post(world, "/features/weather", {"entities": [{"origin": "JFK"}], "at": at})
        assert found["status"][0][0] == status
    assert (
        said(world.get("/features/weather?origin=JFK&at=2013-07-01T14%3A00%3A00Z"))["status"][0][0]
        == "present"
    )


def test_a_new_ttl_is_taken_up(world: World) -> None:
    assert said(world.get("/features/weather?origin=EWR"))["status"][0][0] == "expired"
    longer = FeatureView("weather", ("origin",), ("temp", "sky"), "weather", "hour", ttl=9 * HOUR)
    world.online.write(longer, pa.table({"origin": ["X"], "hour": [NOON], "temp": [1.0], "sky": ["clear"]}))
    world.clock.advance(timedelta(seconds=1))
    assert said(world.get("/features/weather?origin=EWR"))["status"][0][0] == "present"


@pytest.mark.parametrize(
    ("path", "status", "mend"),
    [
        ("/features/wether?origin=JFK", 404, "there are: route, weather"),
        ("/features/weather", 400, "must give key 'origin'"),
        ("/features/weather?dest=JFK", 400, "'dest' is no key of view 'weather'; its keys are origin"),
        ("/features/weather?origin=JFK&origin=EWR", 400, "given twice"),
        ("/features/weather?origin=JFK&at=noon", 400, "at 'noon' is not"),
        ("/features/weather?origin=JFK&at=2013-07-01T12:00:00", 400, "no time zone"),
        ("/features/weather/temp", 404, "nothing at"),
        ("/features/", 404, "nothing at"),
    ],
)
def test_a_wrong_address_says_the_mend(world: World, path: str, status: int, mend: str) -> None:
    assert mend in said(world.get(path), status)["error"]


@pytest.mark.parametrize(
    ("document", "status", "mend"),
    [
        ({"features": [], "entities": []}, 400, "name at least one view or feature"),
        ({"features": ["weather", "weather__temp"], "entities": []}, 400, "asked for twice"),
        ({"features": ["weather__tmp"], "entities": []}, 400, "did you mean 'temp'"),
        ({"features": ["weather"], "entities": [{"origin": 1.5}]}, 400, "key origin"),
        ({"features": ["weather"], "entities": [{}] * 10_001}, 400, "at most 10000 entities"),
        ({"features": ["weather"]}, 400, "entities"),
        ({"features": ["weather"], "entities": [], "who": 1}, 400, "who"),
    ],
)
def test_a_wrong_question_says_the_mend(world: World, document: object, status: int, mend: str) -> None:
    assert mend in post(world, "/features", document, status)["error"].replace("'origin'", "origin")


def test_nobody_asked_is_nobody_answered(world: World) -> None:
    assert post(world, "/features", {"features": ["weather"], "entities": []})["values"] == []
