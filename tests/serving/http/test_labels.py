from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.worlds import NOON, World

from esteira.base.clock import to_micros
from esteira.base.records import Label

if TYPE_CHECKING:
    from pathlib import Path

NOW = to_micros(NOON)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def post(world: World, document: object) -> tuple[int, Any]:
    response = world.post("/labels", json.dumps(document).encode())
    return response.status, json.loads(response.body)


def test_labels_are_accepted_with_the_time_they_became_true(world: World) -> None:
    landed = NOON - timedelta(hours=1)
    document = [
        {"id": "f1", "value": 1},
        {"id": "f2", "value": 0.5, "observed_at": to_micros(landed), "revision": 2},
        {"id": "f3", "value": 0, "observed_at": "2013-07-01T08:00:00-03:00"},
    ]
    assert post(world, document) == (202, {"accepted": 3})
    assert world.labels.records == [
        Label("f1", 1.0, NOW, NOW),
        Label("f2", 0.5, to_micros(landed), NOW, 2),
        Label("f3", 0.0, to_micros(NOON - timedelta(hours=1)), NOW),
    ]


def test_no_labels_are_accepted_too(world: World) -> None:
    assert post(world, []) == (202, {"accepted": 0})


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ({"value": 1}, "missing required field `id`"),
        ({"id": "f2"}, "missing required field `value`"),
        ({"id": "", "value": 1}, "length >= 1"),
        ({"id": "x" * 500, "value": 1}, "length <= 300"),
        ({"id": "f2", "value": "1"}, "$[1].value"),
        ({"id": "f2", "value": None}, "$[1].value"),
        ({"id": "f2", "value": float("nan")}, "label 1: value must be a finite number"),
        ({"id": "f2", "value": float("inf")}, "label 1: value must be a finite number"),
        ({"id": "f2", "value": 1, "observed_at": "yesterday"}, "label 1: observed_at 'yesterday' is not"),
        ({"id": "f2", "value": 1, "observed_at": "2013-07-01T08:00:00"}, "has no time zone"),
        ({"id": "f2", "value": 1, "observed_at": -5}, "$[1].observed_at"),
        ({"id": "f2", "value": 1, "observed_at": 10**30}, "$[1].observed_at"),
        ({"id": "f2", "value": 1, "revision": -1}, "$[1].revision"),
        ({"id": "f2", "value": 1, "prediction": "x"}, "unknown field `prediction`"),
        (7, "$[1]"),
    ],
)
def test_one_wrong_label_is_named_and_none_is_taken(world: World, label: object, said: str) -> None:
    status, answer = post(world, [{"id": "f1", "value": 1}, label])
    assert status == 400
    assert said in answer["error"]
    assert world.labels.records == []


def test_a_single_label_without_its_list_is_refused(world: World) -> None:
    assert post(world, {"id": "f1", "value": 1})[0] == 400
