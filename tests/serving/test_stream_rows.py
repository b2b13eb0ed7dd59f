from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.serving.stream_worlds import StreamWorld
from tests.serving.worlds import World, tree_model, tree_score

from esteira.registry.signature import Column, Signature
from esteira.serving.gateway import Question
from esteira.serving.stream_rows import REJECTED, SCORED, judge, rejected_table, scored_table
from esteira.serving.streams.port import Message

if TYPE_CHECKING:
    from pathlib import Path

AT = 1_700_000_000_000_000


def message(payload: bytes, position: int = 7, key: str = "") -> Message:
    return Message(2, position, AT, key, payload)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "the body is not JSON"),
        (b"[1]", "Expected `object`, got `array`"),
        (b"null", "Expected `object`, got `null`"),
        (b'{"miles": 1, "carrier": "AA"} {}', "not JSON"),
        (b'\xff{"miles": 1}', "not JSON"),
        (b'{"a":' * 3_000 + b"1" + b"}" * 3_000, "nested too deeply"),
        (b'{"carrier": "AA"}', "column 'miles' must be a number, found nothing"),
        (b'{"miles": "5", "carrier": "AA"}', "column 'miles' must be a number"),
        (b'{"miles": NaN, "carrier": "AA"}', "column 'miles' must be a finite number"),
        (b'{"miles": 1, "carrier": 3}', "column 'carrier' must be a text"),
        (b'{"miles": 1, "carrier": "AA", "miels": 2}', "did you mean 'miles'"),
        (b'{"miles": ' + b"9" * 400 + b', "carrier": "AA"}', "number"),
        (b'{"id": 5, "miles": 1, "carrier": "AA"}', "id must be a text of at most 256"),
        (b'{"key": "' + b"k" * 257 + b'", "miles": 1, "carrier": "AA"}', "key must be a text of at most 256"),
    ],
)
def test_a_message_that_cannot_be_read_is_refused_with_the_reason(
    tmp_path: Path, payload: bytes, reason: str
) -> None:
    loaded = StreamWorld(tmp_path).model
    good = message(b'{"miles": 1, "carrier": "AA"}', 8)
    outcome = judge([message(payload), good], loaded, AT)
    (refused,) = outcome.refused
    assert refused.message.payload == payload
    assert reason in refused.reason
    assert len(refused.reason) <= 500
    assert [read.message for read, _ in outcome.scored] == [good]


def test_a_message_scores_as_the_gateway_scores_the_same_row(tmp_path: Path) -> None:
    world = World(tmp_path / "gateway")
    world.deploy(tree_model(0.5))
    loaded = StreamWorld(tmp_path / "stream").model
    payloads = [
        b'{"miles": 400, "carrier": "AA"}',
        b'{"miles": 700.5, "carrier": "UA", "gust": null}',
        b'{"gust": 3, "carrier": "elsewhere", "miles": true}',
    ]
    rows: list[dict[str, Any]] = [
        {"miles": 400, "carrier": "AA"},
        {"miles": 700.5, "carrier": "UA", "gust": None},
        {"gust": 3, "carrier": "elsewhere", "miles": True},
    ]
    answer = world.gateway.predict(Question("late", rows))
    outcome = judge([message(each) for each in payloads], loaded, AT)
    assert [score for _, score in outcome.scored] == answer.scores
    logged = [each.vector for each in world.predictions.records]
    np.testing.assert_array_equal([read.vector for read, _ in outcome.scored], logged)


def test_a_row_names_its_message_and_who_scored_it(tmp_path: Path) -> None:
    loaded = StreamWorld(tmp_path).model
    messages = [
        message(b'{"id": "a", "key": "mine", "miles": 400, "carrier": "AA"}', 3, "the broker's"),
        message(b'{"miles": 400, "carrier": "UA", "gust": 5}', 4, "the broker's"),
    ]
    rows = scored_table(judge(messages, loaded, AT), loaded, "late", "local:1", AT + 5)
    assert rows.schema == SCORED
    first, second = rows.to_pylist()
    assert (first["id"], first["key"], first["position"]) == ("a", "mine", 3)
    assert (second["id"], second["key"], second["partition"]) == ("2-4", "the broker's", 2)
    assert (second["model"], second["version"], second["stream"]) == ("late", 1, "local:1")
    assert second["vector"] == [400.0, 1.0, 5.0]
    assert second["score"] == tree_score(0.5)
    assert (rows["at"].cast("int64")[0].as_py(), rows["scored_at"].cast("int64")[0].as_py()) == (AT, AT + 5)


def test_a_model_may_have_a_column_that_is_called_id(tmp_path: Path) -> None:
    world = StreamWorld(tmp_path)
    loaded = world.version(1, tree_model(0.5, Signature((Column("id"), Column("key")), "late")))
    outcome = judge([message(b'{"id": 5, "key": 6}')], loaded, AT)
    ((read, _),) = outcome.scored
    assert (read.vector, read.id, outcome.refused) == ([5.0, 6.0], "2-7", [])


def test_no_messages_are_tables_without_rows(tmp_path: Path) -> None:
    loaded = StreamWorld(tmp_path).model
    nothing = judge([], loaded, AT)
    assert scored_table(nothing, loaded, "late", "s", AT) == SCORED.empty_table()
    assert rejected_table(nothing.refused, 1, "s", AT) == REJECTED.empty_table()


def test_a_row_on_which_the_model_fails_is_found_among_the_others(tmp_path: Path) -> None:
    loaded = StreamWorld(tmp_path).model

    class Picky:
        """Fails on every call in which there is a 13."""

        @staticmethod
        def predict(matrix: Any) -> Any:
            if (matrix[:, 0] == 13).any():
                raise ArithmeticError("thirteen")
            return matrix[:, 0]

        @staticmethod
        def predict_row(row: Any) -> float:
            if row[0] == 13:
                raise ArithmeticError("thirteen")
            return float(row[0])

    loaded.__dict__["runtime"] = Picky()
    sent = [message(b'{"miles": %d, "carrier": "AA"}' % number, number) for number in range(40)]
    outcome = judge(sent, loaded, AT)
    assert [each.message.position for each in outcome.refused] == [13]
    assert outcome.refused[0].reason == "version 1 failed on it: ArithmeticError: thirteen"
    assert [(read.message.position, score) for read, score in outcome.scored] == [
        (number, float(number)) for number in range(40) if number != 13
    ]
