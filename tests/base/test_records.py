from __future__ import annotations

import dataclasses
import inspect
import json
import struct
from datetime import UTC, datetime

import pytest

from esteira.base import records
from esteira.base.records import (
    Alert,
    AlertState,
    Artifact,
    AuditEvent,
    Label,
    ModelVersion,
    PredictedRows,
    Prediction,
    Profile,
    Run,
    RunStatus,
    TableVersion,
    to_plain,
)

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
EXAMPLES: list[object] = [
    TableVersion("flights", 3, 10, NOON),
    Artifact("ab", "json", 3),
    Run(
        "r1", "flight-delay", RunStatus.RUNNING, NOON, parameters={"seed": 7}, inputs={"flights": "flights@3"}
    ),
    ModelVersion("flight-delay", 2, "ab", "r1", NOON, ("champion",), {"roc_auc": 0.7}),
    Prediction("p1", 1, "flight-delay", 2, "champion", 4, "N14228", 0.25, 0.001, (1.0, 2.0)),
    PredictedRows("p1", 1, "flight-delay", 2, "champion", 4, "N14228", bytes(8), 0.001, bytes(16)),
    Label("p1", 1.0, 1, 2),
    Profile("miles", (1.0, 2.0), (3, 4, 5, 0)),
    Alert("drift", "miles", AlertState.FIRING, NOON, 0.3, 0.2, "moved"),
    AuditEvent(1, NOON, "ring", "model.promote", "flight-delay@2", "gates passed", {"to": 2}, "", "ab"),
]
KINDS = [
    kind
    for kind in vars(records).values()
    if inspect.isclass(kind) and (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"))
]


def names_of(example: object) -> list[str]:
    """The fields of a record, which is a dataclass or a tuple with names."""
    if isinstance(example, tuple):
        return list(example._fields)
    return [each.name for each in dataclasses.fields(example)]


def test_every_record_has_an_example_here() -> None:
    assert {type(example) for example in EXAMPLES} == set(KINDS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_a_record_cannot_be_changed(example: object) -> None:
    first = names_of(example)[0]
    with pytest.raises(AttributeError):
        setattr(example, first, "changed")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_a_record_becomes_json_with_all_its_fields(example: object) -> None:
    plain = to_plain(example)
    assert json.loads(json.dumps(plain)) == plain
    assert list(plain) == names_of(example)


def test_several_rows_are_as_many_predictions_under_the_id_of_the_request() -> None:
    scores, vectors = struct.pack("<2d", 0.25, 0.5), struct.pack("<4d", 1, 2, 3, 4)
    answered = PredictedRows("p1", 1, "late", 2, "champion", 4, "k", scores, 0.001, vectors)
    assert answered.rows() == [
        Prediction("p1", 1, "late", 2, "champion", 4, "k", 0.25, 0.001, (1.0, 2.0)),
        Prediction("p1#1", 1, "late", 2, "champion", 4, "k", 0.5, 0.001, (3.0, 4.0)),
    ]
    parts = struct.pack("<6d", 1, 2, 3, 4, 5, 6)
    assert [each.parts for each in answered._replace(parts=parts).rows()] == [(1, 2, 3), (4, 5, 6)]
    assert answered._replace(scores=b"", vectors=b"").rows() == []


def test_times_are_written_with_their_zone_and_states_as_words() -> None:
    plain = to_plain(EXAMPLES[-2])
    assert (plain["since"], plain["state"]) == ("2013-07-01T12:00:00+00:00", "firing")


def test_records_inside_records_become_json_too() -> None:
    inner = {"versions": [EXAMPLES[0]], "of": {"alert": EXAMPLES[-2]}}
    plain = to_plain(inner)
    assert plain["versions"][0]["table"] == "flights"
    assert plain["of"]["alert"]["monitor"] == "drift"


def test_a_table_version_is_named_by_table_and_number() -> None:
    assert TableVersion("flights", 3, 10, NOON).ref == "flights@3"
