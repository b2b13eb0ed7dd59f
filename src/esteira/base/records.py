"""The frozen records that pass from room to room."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class TableVersion:
    """One version of a table: the name and number by which any reader gets the same rows again."""

    table: str
    version: int
    rows: int
    committed_at: datetime

    @property
    def ref(self) -> str:
        """The reference that manifests keep.

        >>> TableVersion("flights", 3, 10, datetime(2013, 1, 1)).ref
        'flights@3'
        """
        return f"{self.table}@{self.version}"


@dataclass(frozen=True, slots=True)
class Artifact:
    """Stored bytes, named by their digest."""

    digest: str
    codec: str
    size: int  # bytes


class RunStatus(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a pipeline."""

    id: str
    project: str
    status: RunStatus
    started_at: datetime
    finished_at: datetime | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)  # input name → pinned identity, e.g. flights@3
    error: str = ""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered model: its bundle by digest, and the papers that lead back to its making."""

    name: str
    version: int
    digest: str  # of the bundle folder
    run_id: str
    created_at: datetime
    aliases: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class Prediction(NamedTuple):  # a tuple, because the gateway makes one with every answer
    """One answer of the gateway, with all that is needed to explain and to score it later."""

    id: str
    at: int  # UTC microseconds
    model: str
    version: int
    arm: str  # champion or challenger
    revision: int  # of the routes that chose the arm
    key: str  # what the sticky split hashed
    score: float
    latency: float  # seconds
    vector: Sequence[float] = ()  # what the model saw, in the order of its signature
    parts: Sequence[float] | None = None  # what each member of a combination gave, NaN if it gave nothing


class PredictedRows(NamedTuple):
    """The answers to one request of several rows; the first has the request's id, row n is `id#n`."""

    id: str
    at: int  # UTC microseconds
    model: str
    version: int
    arm: str
    revision: int
    key: str
    scores: bytes  # float64, little-endian
    latency: float  # seconds, of the request
    vectors: bytes  # float64, little-endian, row by row
    parts: bytes = b""  # of the members of a combination, in the same form

    def rows(self) -> list[Prediction]:
        """Each row as a prediction of its own."""
        scores = struct.unpack(f"<{len(self.scores) // 8}d", self.scores)
        return [self._row(number, score, len(scores)) for number, score in enumerate(scores)]

    def _row(self, number: int, score: float, rows: int) -> Prediction:
        name = f"{self.id}#{number}" if number else self.id
        parts = _nth(self.parts, number, rows) or None
        return Prediction(name, *self[1:7], score, self.latency, _nth(self.vectors, number, rows), parts)


def _nth(packed: bytes, number: int, rows: int) -> tuple[float, ...]:
    """The numbers of one of several rows."""
    width = len(packed) // rows
    return struct.unpack(f"<{width // 8}d", packed[number * width : (number + 1) * width])


@dataclass(frozen=True, slots=True)
class Label:
    """The truth about a prediction, which comes later and may be corrected: the greatest revision holds."""

    prediction_id: str
    value: float
    observed_at: int  # UTC microseconds: when it became true
    ingested_at: int  # UTC microseconds: when we learnt it
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """The distribution of one column: counts over fixed bins; profiles of one reference add up exactly."""

    column: str
    edges: tuple[float, ...]  # k inner edges make k + 1 bins
    counts: tuple[int, ...]  # k + 1 bins, then missing
    categories: tuple[str, ...] = ()  # instead of edges, for a categorical column; the last bin is "other"


class AlertState(StrEnum):
    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVING = "resolving"


@dataclass(frozen=True, slots=True)
class Alert:
    """What a monitor says about one subject, after its enter and exit rules."""

    monitor: str
    subject: str
    state: AlertState
    since: datetime
    value: float
    threshold: float
    message: str


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One link of the audit chain."""

    seq: int
    at: datetime
    actor: str
    action: str
    resource: str
    reason: str
    facts: Mapping[str, object]
    previous: str  # digest of the link before
    digest: str


def to_plain(value: Any) -> Any:  # noqa: ANN401 - any record in, JSON values out
    """A record as JSON values: times as ISO 8601, enums as text, nested records as objects.

    >>> to_plain(Artifact("ab", "json", 3))
    {'digest': 'ab', 'codec': 'json', 'size': 3}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Prediction):
        value = value._asdict()
    if isinstance(value, PredictedRows):
        packed = {name: getattr(value, name).hex() for name in ("scores", "vectors", "parts")}
        value = value._asdict() | packed
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(name): to_plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(each) for each in value]
    return str(value) if isinstance(value, StrEnum) else value
