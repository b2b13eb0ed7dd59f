from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.prediction_sink import PredictionSinkContract, prediction

from esteira.base.errors import BadInput, CorruptArtifact, StorageUnwritable, UnknownScheme
from esteira.base.records import Label, PredictedRows, Prediction
from esteira.monitoring import segments as room
from esteira.monitoring.prediction_log import (
    LABELS_SCHEMA,
    PREDICTIONS_SCHEMA,
    LabelLog,
    PredictionLog,
    encode_label,
    encode_prediction,
    join_predictions,
    labels_table,
    predictions_table,
    vectors_of,
    weigh_rows,
)
from esteira.monitoring.segments import read_segments

if TYPE_CHECKING:
    from pathlib import Path

MICROS = st.integers(0, 4_102_444_800_000_000)  # until 2100
FLOATS = st.floats(allow_nan=False)
PREDICTIONS = st.builds(
    Prediction,
    id=st.text(max_size=8),
    at=MICROS,
    model=st.text(max_size=5),
    version=st.integers(0, 2**31 - 1),
    arm=st.sampled_from(["champion", "challenger"]),
    revision=st.integers(0, 2**62),
    key=st.text(max_size=8),
    score=FLOATS,
    latency=FLOATS,
    vector=st.lists(FLOATS, max_size=5).map(tuple),
    parts=st.none() | st.lists(FLOATS | st.just(math.nan), min_size=1, max_size=3).map(tuple),
)
LABELS = st.builds(
    Label, st.text(max_size=8), FLOATS, observed_at=MICROS, ingested_at=MICROS, revision=st.integers(0, 2**62)
)


def _back(table: pa.Table) -> list[Prediction]:
    plain = table.set_column(1, "at", table["at"].cast(pa.int64())).to_pylist()
    parts = [row["parts"] and tuple(row["parts"]) for row in plain]
    rows = zip(plain, parts, strict=True)
    return [Prediction(**{**row, "vector": tuple(row["vector"]), "parts": part}) for row, part in rows]


def _as_null(one: Prediction) -> Prediction:
    """A member that gave nothing is NaN on its way, and null in a table."""
    parts = one.parts and tuple(None if math.isnan(part) else part for part in one.parts)
    return one._replace(parts=parts)


class TestPredictionLog(PredictionSinkContract):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def open(self) -> PredictionLog:
        return PredictionLog(f"file:{self.folder}", "w0", flush_ms=5)

    def kept(self) -> list[Prediction]:
        return _back(predictions_table(read_segments(self.folder, "predictions", {})[0]))


@given(st.lists(PREDICTIONS, max_size=5))
def test_predictions_become_a_table_and_stay_the_same(predictions: list[Prediction]) -> None:
    table = predictions_table([encode_prediction(each) for each in predictions])
    assert table.schema == PREDICTIONS_SCHEMA
    assert _back(table) == [_as_null(each) for each in predictions]


@st.composite
def _several(draw: st.DrawFn) -> PredictedRows:
    rows, width = draw(st.integers(0, 4)), draw(st.integers(0, 3))
    scores = draw(st.lists(FLOATS, min_size=rows, max_size=rows))
    vectors = draw(st.lists(FLOATS, min_size=rows * width, max_size=rows * width))
    one = draw(PREDICTIONS)
    members = draw(st.integers(0, 2))
    parts = draw(st.lists(FLOATS | st.just(math.nan), min_size=rows * members, max_size=rows * members))
    packed = np.array(scores, "<f8").tobytes(), one.latency, np.array(vectors, "<f8").tobytes()
    return PredictedRows(*one[:7], *packed, np.array(parts, "<f8").tobytes())


@given(st.lists(PREDICTIONS | _several(), max_size=5))
def test_a_request_of_several_rows_becomes_as_many_predictions(
    answered: list[Prediction | PredictedRows],
) -> None:
    rows = [each.rows() if isinstance(each, PredictedRows) else [each] for each in answered]
    expected = [_as_null(row) for some in rows for row in some]
    assert _back(predictions_table([encode_prediction(each) for each in answered])) == expected
    assert _back(predictions_table([join_predictions(answered)])) == expected


def test_a_number_of_numpy_among_others_is_written_too(tmp_path: Path) -> None:
    log = PredictionLog(f"file:{tmp_path}", "w0", flush_ms=10_000)
    log.write(prediction(1)._replace(score=np.float32(0.5)))
    log.write(prediction(2))
    log.close()
    found = _back(predictions_table(read_segments(tmp_path, "predictions", {})[0]))
    assert [(each.id, each.score) for each in found] == [("p1", 0.5), ("p2", 0.5)]


@given(st.lists(LABELS, max_size=5))
def test_labels_become_a_table_and_stay_the_same(labels: list[Label]) -> None:
    table = labels_table([encode_label(each) for each in labels])
    assert table.schema == LABELS_SCHEMA
    columns = [table[name].cast(pa.int64()) if "_at" in name else table[name] for name in table.column_names]
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    assert [Label(*row) for row in rows] == labels


def test_numbers_of_numpy_are_written_as_plain_ones() -> None:
    numbers = np.float64(0.25), np.float32(0.5), tuple(np.array([1.5, math.inf]))
    written = Prediction("p", np.int64(7), "late", np.int32(1), "champion", np.int64(2), "k", *numbers)
    (found,) = _back(predictions_table([encode_prediction(written)]))
    assert found == Prediction("p", 7, "late", 1, "champion", 2, "k", 0.25, 0.5, (1.5, math.inf))


def test_the_vectors_come_back_to_the_bit() -> None:
    odd = struct.unpack("<d", bytes.fromhex("010000000000f87f"))[0]  # a NaN with a payload of its own
    vectors = [(1e-320, -0.0, odd), (math.inf, 0.1, -1.5)]
    rows = [Prediction("p", 0, "m", 1, "champion", 0, "k", 0.5, 0.0, vector) for vector in vectors]
    table = predictions_table([encode_prediction(row) for row in rows])
    assert vectors_of(table, 3).tobytes() == np.array(vectors).tobytes()
    assert vectors_of(table.slice(1), 3).tolist() == [list(vectors[1])]
    assert vectors_of(pa.concat_tables([table, table]), 3).shape == (4, 3)
    assert vectors_of(table.slice(0, 0), 3).shape == (0, 3)


def test_vectors_of_several_signatures_are_no_matrix() -> None:
    rows = [prediction(1), Prediction("p", 0, "m", 2, "champion", 0, "k", 0.5, 0.0, (1.0,))]
    table = predictions_table([encode_prediction(row) for row in rows])
    with pytest.raises(BadInput, match="one model version"):
        vectors_of(table, 3)


def test_a_payload_of_another_kind_is_named_corrupt() -> None:
    with pytest.raises(CorruptArtifact, match="records of prediction_id"):
        labels_table([msgspec.msgpack.encode(("p1", "late"))])


def test_labels_go_to_segments_of_their_own(tmp_path: Path) -> None:
    url = f"file:{tmp_path}"
    predictions, labels = PredictionLog(url, "w0"), LabelLog(url, "w0")
    predictions.write(prediction(1))
    labels.write(Label("p1", 1.0, 5, 6))
    predictions.flush()
    labels.flush()
    assert len(read_segments(tmp_path, "predictions", {})[0]) == 1
    assert labels_table(read_segments(tmp_path, "labels", {})[0])["prediction_id"].to_pylist() == ["p1"]
    predictions.close()
    labels.close()
    assert (predictions.dropped, labels.dropped) == (0, 0)


def test_what_cannot_be_written_is_counted(tmp_path: Path) -> None:
    log, labels = PredictionLog(f"file:{tmp_path}", "w0"), LabelLog(f"file:{tmp_path}", "w0")
    log.close()
    labels.close()
    log.write(prediction(1))
    labels.write(Label("p1", 1.0, 5, 6))
    assert (log.dropped, labels.dropped) == (1, 1)


NEVER_MS = 3_600_000  # the thread stays asleep: the test flushes


def _several(name: str, rows: int) -> PredictedRows:
    """The answer to a request of some rows: 16 bytes for each."""
    return PredictedRows(name, 1, "m", 1, "champion", 2, "k", bytes(8 * rows), 0.1, bytes(8 * rows))


def test_answers_of_many_rows_wait_up_to_a_number_of_bytes_and_count_as_their_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room, "QUEUE_BYTES", 100)
    log = PredictionLog(f"file:{tmp_path}", "w0", flush_ms=NEVER_MS)
    for name in ("a", "b", "c"):
        log.write(_several(name, 5))
    log.write(prediction(1))
    assert (log.queued, log.dropped) == (11, 5)
    assert caplog.records[0].__dict__["dropped"] == 5
    log.flush()
    assert log.queued == 0
    log.write(_several("d", 5))
    log.close()
    table = predictions_table(read_segments(tmp_path, "predictions", {})[0])
    assert [each for each in table["id"].to_pylist() if "#" not in each] == ["a", "b", "p1", "d"]
    assert (table.num_rows, log.dropped) == (16, 5)
    log.write(_several("e", 5))
    assert log.dropped == 10


def test_answers_of_many_rows_are_encoded_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "COMMIT_BYTES", 100)
    log = PredictionLog(f"file:{tmp_path}", "w0", flush_ms=NEVER_MS)
    for number in range(5):
        log.write(_several(f"p{number}", 5))
    log.flush()
    payloads = read_segments(tmp_path, "predictions", {})[0]
    assert [predictions_table([each]).num_rows for each in payloads] == [10, 10, 5]
    log.close()


def test_an_answer_of_many_rows_that_cannot_be_encoded_counts_as_its_rows(tmp_path: Path) -> None:
    log = PredictionLog(f"file:{tmp_path}", "w0", flush_ms=NEVER_MS)
    log.write(_several("a", 5)._replace(id=object()))
    log.write(_several("b", 2))
    log.close()
    assert predictions_table(read_segments(tmp_path, "predictions", {})[0]).num_rows == 2
    assert log.dropped == 5


def test_a_log_that_cannot_be_opened_says_so_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnwritable):
        PredictionLog(f"file:{tmp_path}/file/log", "w0")
    with pytest.raises(UnknownScheme):
        LabelLog("kafka:labels", "w0")


def test_records_from_before_there_were_combinations_are_read_beside_new_ones() -> None:
    old = prediction(1)._replace(vector=(1.0,))[:10]
    several = PredictedRows("q", 1, "m", 1, "champion", 2, "k", bytes(16), 0.1, bytes(16))[:10]
    new = prediction(2)._replace(vector=(1.0,), parts=(0.25, math.nan))
    packed = (*old[:9], struct.pack("<d", 1.0))
    payloads = [
        msgspec.msgpack.encode(packed),
        b"\xc1" + msgspec.msgpack.encode([old, several]),
        join_predictions([new]),
        encode_prediction(new),
    ]
    table = predictions_table(payloads)
    assert table["id"].to_pylist() == ["p1", "p1", "q", "q#1", "p2", "p2"]
    assert table["parts"].to_pylist() == [None] * 4 + [[0.25, None]] * 2
    assert table["vector"].to_pylist() == [[1.0]] * 2 + [[0.0]] * 2 + [[1.0]] * 2
    assert predictions_table(payloads[:2])["parts"].to_pylist() == [None] * 4


def test_the_parts_of_many_rows_count_in_what_waits_in_memory() -> None:
    assert weigh_rows(_several("p", 5)._replace(parts=bytes(80))) == (5, 160)
