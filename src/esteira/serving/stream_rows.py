"""Messages of a stream as rows: scored, or refused with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from esteira.base.errors import BadInput, EsteiraError
from esteira.serving.gateway import LONGEST_NAME
from esteira.serving.http.decoding import MalformedBody, decode
from esteira.serving.work import ColumnsWork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.streams.port import Message

_TIME = pa.timestamp("us", tz="UTC")
_PLACE = {"stream": pa.string(), "partition": pa.int32(), "position": pa.int64()}
SCORED = pa.schema(
    {
        "id": pa.string(),  # the message's own, or made of its place
        "at": _TIME,  # when the broker took it
        "scored_at": _TIME,
        "model": pa.string(),
        "version": pa.int32(),
        "key": pa.string(),
        "score": pa.float64(),
        "vector": pa.list_(pa.float64()),  # what the model saw
        **_PLACE,
    }
)
REJECTED = pa.schema(
    {
        **_PLACE,
        "at": _TIME,
        "rejected_at": _TIME,
        "version": pa.int32(),
        "reason": pa.string(),
        "payload": pa.binary(),  # as it came
    }
)
_decoder = msgspec.json.Decoder(dict[str, Any])
_REASON = 500  # characters
_MANY = 20  # messages: when none of so many can be scored, the model is at fault


class ModelFails(EsteiraError):
    """A model that fails on so many messages that they are hardly at fault."""

    def __init__(self, version: str, messages: int, reason: str) -> None:
        super().__init__(
            f"version {version} failed on all of {messages} messages, which wait where they are; deploy "
            f"another version and start again ({reason})"
        )
        self.version, self.messages, self.reason = version, messages, reason


class Read(NamedTuple):
    """A message as the model sees it."""

    message: Message
    id: str
    key: str
    vector: list[float]


class Refused(NamedTuple):
    """A message that is kept aside."""

    message: Message
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of some messages: each is in one of the two."""

    scored: Sequence[tuple[Read, float]]
    refused: Sequence[Refused]


def judge(messages: Sequence[Message], loaded: LoadedArm, now: int) -> Outcome:
    """Read and score messages with one version, features as they are at UTC microsecond `now`.

    A message that cannot be read, or on which the model fails alone, is refused.
    Raises: ModelFails, FeaturesUnreadable, what the online store raises: nothing is a message's fault then.
    """
    read: list[Read] = []
    refused: list[Refused] = []
    for message in messages:
        try:
            read.append(_read(message, loaded, now))
        except BadInput as wrong:
            refused.append(Refused(message, str(wrong)[:_REASON]))
    scored, failed = _score(read, loaded)
    if not scored and len(failed) >= _MANY:
        raise ModelFails(loaded.version, len(failed), failed[0].reason)
    return Outcome(scored, [*refused, *failed])


def _read(message: Message, loaded: LoadedArm, now: int) -> Read:
    """A message's names and numbers. Raises: BadInput."""
    values = decode(_decoder, message.payload)
    fields = loaded.fields
    own = "" if "id" in fields else _name(values, "id")
    key = message.key if "key" in fields else _name(values, "key") or message.key
    made = f"{message.partition}-{message.position}"
    return Read(message, own or made, key, loaded.encode(values, now))


def _name(values: dict[str, Any], field: str) -> str:
    found = values.pop(field, "")
    if not isinstance(found, str) or len(found) > LONGEST_NAME:
        raise MalformedBody(f"{field} must be a text of at most {LONGEST_NAME} characters")
    return found


def _score(read: Sequence[Read], loaded: LoadedArm) -> tuple[list[tuple[Read, float]], list[Refused]]:
    if not read:
        return [], []
    try:
        scores = ColumnsWork([each.vector for each in read]).score(loaded).scores
    except Exception as failed:  # noqa: BLE001 - whatever a model raises; one row may be at fault
        if len(read) == 1:
            reason = f"version {loaded.version} failed on it: {type(failed).__name__}: {failed}"
            return [], [Refused(read[0].message, reason[:_REASON])]
        half = len(read) // 2
        (one, bad), (other, worse) = _score(read[:half], loaded), _score(read[half:], loaded)
        return one + other, bad + worse
    return [*zip(read, scores, strict=True)], []


def scored_table(outcome: Outcome, loaded: LoadedArm, model: str, stream: str, now: int) -> pa.Table:
    """Rows of `SCORED`."""
    scored = outcome.scored
    rows, count = [read for read, _ in scored], len(scored)
    width = len(loaded.signature.columns)
    values = np.array([read.vector for read in rows], np.float64).reshape(-1)
    offsets = (
        np.arange(0, width * count + 1, width, dtype=np.int32) if width else np.zeros(count + 1, np.int32)
    )
    columns = {
        "id": [read.id for read in rows],
        "at": pa.array([read.message.at for read in rows], pa.int64()).cast(_TIME),
        "scored_at": _repeated(now, count, pa.int64()).cast(_TIME),
        "model": _repeated(model, count, pa.string()),
        "version": _repeated(loaded.arm.version, count, pa.int32()),
        "key": [read.key for read in rows],
        "score": [score for _, score in scored],
        "vector": pa.ListArray.from_arrays(pa.array(offsets), pa.array(values)),
        **_places([read.message for read in rows], stream),
    }
    return pa.table(columns, schema=SCORED)


def rejected_table(refused: Sequence[Refused], version: int, stream: str, now: int) -> pa.Table:
    """Rows of `REJECTED`."""
    messages, count = [each.message for each in refused], len(refused)
    columns = {
        **_places(messages, stream),
        "at": pa.array([message.at for message in messages], pa.int64()).cast(_TIME),
        "rejected_at": _repeated(now, count, pa.int64()).cast(_TIME),
        "version": _repeated(version, count, pa.int32()),
        "reason": [each.reason for each in refused],
        "payload": [message.payload for message in messages],
    }
    return pa.table(columns, schema=REJECTED)


def _places(messages: Sequence[Message], stream: str) -> dict[str, Any]:
    return {
        "stream": _repeated(stream, len(messages), pa.string()),
        "partition": [message.partition for message in messages],
        "position": [message.position for message in messages],
    }


def _repeated(value: object, count: int, kind: pa.DataType) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), count)
