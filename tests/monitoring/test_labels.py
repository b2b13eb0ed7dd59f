from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.prediction_sink import prediction

from esteira.base.clock import EPOCH
from esteira.base.errors import NaiveTime
from esteira.base.records import Label
from esteira.monitoring.labels import join_labels
from esteira.monitoring.prediction_log import encode_label, encode_prediction, labels_table, predictions_table

IDS = st.sampled_from(["p0", "p1", "p2", "p3"])
MOMENTS = st.integers(0, 4)
LABELS = st.lists(st.builds(Label, IDS, st.sampled_from([0.0, 1.0]), MOMENTS, MOMENTS, st.integers(0, 2)))
NUMBERS = st.lists(st.integers(0, 5), max_size=8)


def _predictions(numbers: list[int]) -> pa.Table:
    return predictions_table([encode_prediction(prediction(number)) for number in numbers])


def _labels(labels: list[Label]) -> pa.Table:
    return labels_table([encode_label(label) for label in labels])


@given(NUMBERS, LABELS, st.randoms())
def test_each_prediction_gets_the_label_that_holds(
    numbers: list[int],
    labels: list[Label],
    random,  # noqa: ANN001 - hypothesis makes its class
) -> None:
    holds: dict[str, Label] = {}
    order = [(x.revision, x.ingested_at, x.observed_at, x.value) for x in labels]
    for _, label in sorted(zip(order, labels, strict=True), key=lambda pair: pair[0]):
        holds[label.prediction_id] = label
    random.shuffle(labels)
    joined = join_labels(_predictions(numbers), _labels(labels))
    ids = [f"p{number}" for number in dict.fromkeys(numbers)]
    assert joined["id"].to_pylist() == ids
    assert joined["label"].to_pylist() == [holds[i].value if i in holds else None for i in ids]
    at = joined["label_at"].cast(pa.int64()).to_pylist()
    assert at == [holds[i].observed_at if i in holds else None for i in ids]


def test_of_a_repeated_prediction_the_first_row_is_kept() -> None:
    rows = _predictions([1, 2, 1])
    rows = rows.set_column(7, "score", pa.array([0.1, 0.2, 0.3]))
    assert join_labels(rows, _labels([]))["score"].to_pylist() == [0.1, 0.2]


def test_a_label_from_the_future_is_not_joined() -> None:
    labels = _labels([Label("p1", 0.0, 1, 2), Label("p1", 1.0, 1, 10, revision=1)])

    def known(micros: int) -> float | None:
        moment = EPOCH + timedelta(microseconds=micros)
        value: float | None = join_labels(_predictions([1]), labels, known_at=moment)["label"][0].as_py()
        return value

    assert [known(1), known(2), known(9), known(10)] == [None, 0.0, 0.0, 1.0]


def test_a_correction_beats_what_came_later_of_a_lesser_revision() -> None:
    labels = _labels([Label("p1", 1.0, 1, 5, revision=1), Label("p1", 0.0, 9, 9)])
    assert join_labels(_predictions([1]), labels)["label"].to_pylist() == [1.0]


def test_a_null_value_withdraws_a_label() -> None:
    labels = _labels([Label("p1", 1.0, 1, 5), Label("p1", 0.0, 1, 6, revision=1)])
    labels = labels.set_column(1, "value", pa.array([1.0, None]))
    assert join_labels(_predictions([1]), labels)["label"].to_pylist() == [None]


@pytest.mark.parametrize("labels", [None, _labels([])], ids=["no table", "an empty table"])
def test_before_any_label_has_come_all_are_null(labels: pa.Table | None) -> None:
    joined = join_labels(_predictions([1, 2]), labels)
    assert joined["label"].to_pylist() == [None, None]
    assert joined.schema.field("label").type == pa.float64()
    assert joined.schema.field("label_at").type == pa.timestamp("us", tz="UTC")


def test_tables_in_several_chunks_are_joined() -> None:
    predictions = pa.concat_tables([_predictions([1, 2]), _predictions([3])])
    labels = pa.concat_tables([_labels([Label("p3", 1.0, 1, 1)]), _labels([Label("p1", 0.0, 1, 1)])])
    assert join_labels(predictions, labels)["label"].to_pylist() == [0.0, None, 1.0]


def test_a_time_without_zone_is_refused() -> None:
    naive = datetime(2013, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    with pytest.raises(NaiveTime):
        join_labels(_predictions([1]), None, known_at=naive)
