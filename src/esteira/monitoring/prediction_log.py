"""The logs between the gateway and the tables: predictions and the labels that come later."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.base.records import PredictedRows
from esteira.monitoring.segments import SegmentWriter, Weight, folder_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from esteira.base.records import Label, Prediction

PREDICTIONS, LABELS = "predictions", "labels"  # kinds of segments, and the tables they become
SHADOWS = "shadows"  # what versions said that were asked besides; records as of predictions

_TIME = pa.timestamp("us", tz="UTC")
PREDICTIONS_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "at": _TIME,
        "model": pa.string(),
        "version": pa.int32(),
        "arm": pa.string(),
        "revision": pa.int64(),
        "key": pa.string(),
        "score": pa.float64(),
        "latency": pa.float64(),  # seconds
        "vector": pa.list_(pa.float64()),
        # What each member of a combination gave, in its order, null where nothing; null of other models.
        "parts": pa.list_(pa.float64()),
    }
)
LABELS_SCHEMA = pa.schema(
    {
        "prediction_id": pa.string(),
        "value": pa.float64(),
        "observed_at": _TIME,
        "ingested_at": _TIME,
        "revision": pa.int64(),
    }
)

_SCORE = PREDICTIONS_SCHEMA.names.index("score")

_encode = msgspec.msgpack.Encoder().encode
_MANY = b"\xc1"  # before the records of one commit; MessagePack never uses that byte


class _Logged(msgspec.Struct, array_like=True, gc=False):
    """A prediction as it stands in a segment; numbers as bytes are those of several rows, or packed."""

    id: str
    at: int
    model: str
    version: int
    arm: str
    revision: int
    key: str
    score: float | bytes
    latency: float
    vector: list[float] | bytes
    parts: list[float] | bytes | None = None  # a segment from before there were combinations has none


_decode_prediction = msgspec.msgpack.Decoder(_Logged).decode
_decode_many = msgspec.msgpack.Decoder(list[_Logged]).decode
_decode_label = msgspec.msgpack.Decoder(tuple[str, float, int, int, int]).decode


class PredictionLog(SegmentWriter["Prediction | PredictedRows"]):
    """The sink of a gateway worker: predictions go to segment files in the folder of a `file:` URL.

    Each row that was scored counts as a prediction, in `queued` and in `dropped` too.
    Raises: UnknownScheme, BadInput (a worker name that is no file name), StorageUnwritable.
    """

    def __init__(self, url: str, worker: str, flush_ms: int = 50, kind: str = PREDICTIONS) -> None:
        super().__init__(folder_of(url), kind, worker, encode_prediction, flush_ms=flush_ms)
        self.join = join_predictions
        self.large, self.weigh = PredictedRows, weigh_rows


class LabelLog(SegmentWriter["Label"]):
    """Where labels arrive; otherwise as `PredictionLog`."""

    def __init__(self, url: str, worker: str, flush_ms: int = 50) -> None:
        super().__init__(folder_of(url), LABELS, worker, encode_label, flush_ms=flush_ms)


def weigh_rows(several: PredictedRows) -> Weight:
    """What the answers to one request of several rows take in memory."""
    return Weight(len(several.scores) // 8, len(several.scores) + len(several.vectors) + len(several.parts))


def encode_prediction(p: Prediction | PredictedRows) -> bytes:
    """The payload of the answer to one request; vectors, and the scores of several rows, as raw float64.

    The conversions make NumPy scalars plain, so that whatever is written can be read.
    """
    who = p.id, int(p.at), p.model, int(p.version), p.arm, int(p.revision), p.key
    if isinstance(p, PredictedRows):
        return _encode((*who, p.scores, float(p.latency), p.vectors, p.parts))
    parts = None if p.parts is None else _packed(p.parts)
    return _encode((*who, float(p.score), float(p.latency), _packed(p.vector), parts))


def join_predictions(predictions: Sequence[Prediction | PredictedRows]) -> bytes:
    """One payload for the answers to several requests: a fifth of the time that each alone would take.

    Raises: TypeError (a value of another kind; `encode_prediction` takes NumPy's too).
    """
    return _MANY + _encode(predictions)


def encode_label(label: Label) -> bytes:
    """The payload of a label."""
    times = int(label.observed_at), int(label.ingested_at)
    return _encode((label.prediction_id, float(label.value), *times, int(label.revision)))


def predictions_table(payloads: Sequence[bytes]) -> pa.Table:
    """Payloads as a table of `PREDICTIONS_SCHEMA`, one row for each row that was scored.

    Raises: CorruptArtifact.
    """
    columns: Sequence[Sequence[Any]]
    *columns, vectors, parts = _columns(payloads, _predictions, PREDICTIONS_SCHEMA)
    answered = [len(score) // 8 if isinstance(score, bytes) else 1 for score in columns[_SCORE]]
    if any(isinstance(score, bytes) for score in columns[_SCORE]):
        columns = _row_by_row(columns, answered)
    arrays = [pa.array(c, t) for c, t in zip(columns, PREDICTIONS_SCHEMA.types, strict=False)]
    lists = [_lists(vectors, answered), _lists(parts, answered, missing=True)]
    return pa.Table.from_arrays([*arrays, *lists], schema=PREDICTIONS_SCHEMA)


def _lists(packed: Sequence[bytes | None], answered: Sequence[int], *, missing: bool = False) -> pa.Array:
    """The numbers of each row as a list, null where there are none; with `missing` NaN is null too."""
    if not any(packed) and None in packed:
        return pa.nulls(sum(answered), pa.list_(pa.float64()))
    pairs = zip(packed, answered, strict=True)
    widths = [len(raw or b"") // 8 // rows if rows else 0 for raw, rows in pairs]
    values = np.frombuffer(b"".join(raw or b"" for raw in packed), dtype="<f8")
    offsets = np.zeros(sum(answered) + 1, dtype=np.int32)
    np.cumsum(np.repeat(np.array(widths, dtype=np.int64), answered), out=offsets[1:])
    are_null = np.repeat(np.array([raw is None for raw in packed], dtype=bool), answered)
    numbers = pa.array(values, mask=np.isnan(values) if missing else None)
    return pa.ListArray.from_arrays(pa.array(offsets), numbers, mask=pa.array(are_null))


def _row_by_row(columns: Sequence[Sequence[Any]], answered: Sequence[int]) -> list[list[Any]]:
    """The columns with each request repeated for each of its rows, under the ids of the rows."""
    spread = [
        [value for value, rows in zip(column, answered, strict=True) for _ in range(rows)]
        for column in columns
    ]
    numbers = [number for rows in answered for number in range(rows)]
    spread[0] = [f"{name}#{at}" if at else name for name, at in zip(spread[0], numbers, strict=True)]
    scores: list[float] = []
    for score in columns[_SCORE]:
        scores += struct.unpack(f"<{len(score) // 8}d", score) if isinstance(score, bytes) else (score,)
    spread[_SCORE] = scores
    return spread


def _predictions(payload: bytes) -> list[Any]:
    """The records of a payload, each with its numbers as bytes."""
    is_one = not payload.startswith(_MANY)
    logged = [_decode_prediction(payload)] if is_one else _decode_many(memoryview(payload)[1:])
    for each in logged:
        each.vector = _packed(each.vector)
        each.parts = _packed(each.parts) if each.parts else None
    return [msgspec.structs.astuple(each) for each in logged]


def _packed(numbers: Sequence[float] | bytes) -> bytes:
    return numbers if isinstance(numbers, bytes) else struct.pack(f"<{len(numbers)}d", *numbers)


def labels_table(payloads: Sequence[bytes]) -> pa.Table:
    """Payloads as a table of `LABELS_SCHEMA`. Raises: CorruptArtifact."""
    columns = _columns(payloads, lambda payload: [_decode_label(payload)], LABELS_SCHEMA)
    arrays = [pa.array(c, t) for c, t in zip(columns, LABELS_SCHEMA.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=LABELS_SCHEMA)


def vectors_of(predictions: pa.Table, width: int) -> NDArray[np.float64]:
    """What the model saw, as a matrix of shape (rows, width).

    Raises: BadInput when a vector has another width: the rows are of models with other signatures.
    """
    lists = predictions["vector"].combine_chunks()
    found = np.diff(lists.offsets.to_numpy())
    if lists.null_count or (found != width).any():
        raise BadInput(f"predictions with other than {width} values; keep the rows of one model version")
    matrix: NDArray[np.float64] = lists.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return matrix


def _columns(
    payloads: Sequence[bytes], decode: Callable[[bytes], list[Any]], schema: pa.Schema
) -> list[Sequence[Any]]:
    try:
        rows = [row for payload in payloads for row in decode(payload)]
    except msgspec.MsgspecError as wrong:
        raise CorruptArtifact("a segment", f"records of {', '.join(schema.names)}", str(wrong)) from wrong
    return list(zip(*rows, strict=True)) if rows else [()] * len(schema)
