"""Replay a project's past against a running gateway: features, questions and answers in the order of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.clock import from_micros, to_micros
from esteira.base.errors import BadInput, UnknownName
from esteira.data.checks import validate
from esteira.project.ingesting import read_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from esteira.base.clock import SimulatedClock
    from esteira.project.definition import Rehearsal, TableSource
    from esteira.project.demo.client import ReplayClient
    from esteira.project.feed import OnlineFeed
    from esteira.registry.signature import Signature


@dataclass(frozen=True, slots=True)
class Ordered:
    """Rows in the order of a time column."""

    rows: pa.Table
    at: NDArray[np.int64]  # UTC microseconds, ascending

    @classmethod
    def by(cls, rows: pa.Table, column: str) -> Ordered:
        ordered = rows.sort_by([(column, "ascending")])
        return cls(ordered, ordered[column].cast(pa.int64()).to_numpy())

    def between(self, start_us: int, end_us: int) -> pa.Table:
        """Rows in (start, end]."""
        first, last = np.searchsorted(self.at, [start_us, end_us], side="right")
        return self.rows.slice(first, last - first)


def publications(sources: Sequence[TableSource], start: datetime, end: datetime) -> dict[str, Ordered]:
    """What each source publishes in (start, end] that satisfies its checks: bad rows reach no feature."""
    found = {}
    for source in sources:
        rows = read_source(source, start, end)
        if rows.num_rows:
            good = validate(rows, source.checks, end).good
            found[source.name] = Ordered.by(good, source.published)
    return found


class Replay:
    """Moves the world forward step by step: publish, close windows, post labels, ask."""

    def __init__(
        self,
        rehearsal: Rehearsal,
        published: Mapping[str, Ordered],
        clock: SimulatedClock,
        feed: OnlineFeed,
        client: ReplayClient,
    ) -> None:
        self._rehearsal, self._published, self._clock = rehearsal, published, clock
        self._feed, self._client = feed, client
        self._questions = Ordered.by(rehearsal.questions(), rehearsal.at)
        self._step_us = to_micros(from_micros(0) + rehearsal.step)
        stray = np.flatnonzero(self._questions.at % self._step_us)
        if len(stray):
            at = from_micros(int(self._questions.at[stray[0]]))
            raise BadInput(
                f"questions are asked at whole steps of {rehearsal.step}, found one at {at}; floor it"
            )

    def until(self, end: datetime, model: str, signature: Signature) -> None:
        """Play everything from the clock's time to `end`."""
        start_us, end_us = self._clock.micros(), to_micros(end)
        asked = self._questions.between(start_us - 1, end_us - 1)
        bodies = _by_moment(asked, self._rehearsal, signature)
        path = f"/v2/models/{model}/infer"
        for now in range(start_us, end_us, self._step_us):
            self._clock.set(from_micros(now))
            self._publish(now)
            self._client.send([self._client.frame(path, body) for body in bodies.get(now, ())])
        self._clock.set(end)

    def _publish(self, now: int) -> None:
        for name, published in self._published.items():
            rows = published.between(now - self._step_us, now)
            if rows.num_rows:
                self._feed.push(name, rows)
                if name == self._rehearsal.answers:
                    self._client.send([self._client.frame("/labels", _labels(rows, self._rehearsal))])
        self._feed.advance(now)


def _labels(rows: pa.Table, rehearsal: Rehearsal) -> bytes:
    rows = rows.filter(pc.is_valid(rows[rehearsal.outcome]))
    columns = zip(
        rows[rehearsal.id].to_pylist(),
        rows[rehearsal.outcome].cast(pa.int8()).to_pylist(),
        rows[rehearsal.observed].cast(pa.int64()).to_pylist(),
        strict=True,
    )
    return msgspec.json.encode([{"id": i, "value": value, "observed_at": at} for i, value, at in columns])


def _by_moment(asked: pa.Table, rehearsal: Rehearsal, signature: Signature) -> dict[int, list[bytes]]:
    """Open Inference Protocol bodies, one per question, by the moment they are asked."""
    kinds = {c.name: c.kind for c in signature.request_columns} | dict.fromkeys(signature.keys, "category")
    for name in (rehearsal.id, *kinds):
        if name not in asked.column_names:
            raise UnknownName("column of the rehearsal's questions", name, asked.column_names)
    types = {name: "BYTES" if kind == "category" else "FP64" for name, kind in kinds.items()}
    columns = [asked[name].to_pylist() for name in types]
    bodies: dict[int, list[bytes]] = {}
    moments = asked[rehearsal.at].cast(pa.int64()).to_pylist()
    for at, question, *values in zip(moments, asked[rehearsal.id].to_pylist(), *columns, strict=True):
        bodies.setdefault(at, []).append(_body(question, types, values))
    return bodies


def _body(question: str, types: Mapping[str, str], values: Sequence[Any]) -> bytes:
    inputs = [
        {"name": name, "shape": [1], "datatype": datatype, "data": [value]}
        for (name, datatype), value in zip(types.items(), values, strict=True)
    ]
    return msgspec.json.encode({"id": question, "inputs": inputs})
