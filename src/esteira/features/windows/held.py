"""The events that count or will, for the measures that must look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from esteira.data.tables.port import SEQUENCE
from esteira.features.ordering import order_by
from esteira.features.times import sequence_of
from esteira.features.windows.agenda import Agenda
from esteira.features.windows.columns import EVENTS, WrongWindow, values_of
from esteira.features.windows.spans import Spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from esteira.features.windows.agenda import Deltas
    from esteira.features.windows.measures import Spanning


class Held(NamedTuple):
    """Events: whose, from which boundary up to which they count, what makes them newer, and their values."""

    codes: NDArray[np.int64]
    boundaries: NDArray[np.int64]
    leaves: NDArray[np.int64]
    at: NDArray[np.int64]
    sequence: NDArray[np.int64]
    values: pa.Table

    @classmethod
    def joined(cls, parts: Iterable[Held]) -> Held:
        *arrays, tables = zip(*parts, strict=True)
        values = pa.concat_tables(tables, promote_options="default")
        return cls._make([*map(np.concatenate, arrays), values])

    def part(self, rows: slice | NDArray[np.int64]) -> Held:
        *arrays, values = self
        some = values.take(rows) if isinstance(rows, np.ndarray) else values[rows]
        return Held._make([*(each[rows] for each in arrays), some])


class HeldEvents:
    """Keeps events from when they come until they have left; memory and time follow their number."""

    def __init__(self, measures: Mapping[str, Spanning]) -> None:
        self._measures = measures
        self._types = {each.column: pa.null() for each in measures.values()}
        none = pa.table({name: pa.nulls(0) for name in self._types})
        nothing = Held._make([*np.zeros((5, 0), np.int64), none])
        self._waiting, self._counting = Agenda(nothing), nothing
        self._came = 0
        self._has_sequence: bool | None = None

    def read(self, events: pa.Table) -> tuple[NDArray[np.int64], pa.Table]:
        """The place of each event in its table, and the columns that the measures need.

        Raises: UnknownName, WrongWindow, BadInput (a `_seq` that is none).
        """
        sequence = self._sequence(events)
        columns = {name: values_of(events, name) for name in self._types}
        for measure in self._measures.values():
            kind = columns[measure.column].type
            if not measure.takes(kind):
                what = f"column {measure.column!r} of {EVENTS} is {kind}"
                raise WrongWindow(f"{what}, of which there is no {type(measure).__name__}; cast it")
        columns = {name: self._as_before(name, values) for name, values in columns.items()}
        self._types = {name: values.type for name, values in columns.items()}
        return sequence, pa.table(columns)

    def _sequence(self, events: pa.Table) -> NDArray[np.int64]:
        has_sequence = SEQUENCE in events.column_names
        if events.num_rows:
            if self._has_sequence not in (None, has_sequence):
                raise WrongWindow(f"{EVENTS} have a column {SEQUENCE!r} at some times only; give it always")
            self._has_sequence = has_sequence
        self._came += events.num_rows
        return sequence_of(events, EVENTS, since=self._came - events.num_rows)

    def _as_before(self, name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
        before, now = self._types[name], values.type
        if before == now or pa.types.is_null(before):
            return values
        if pa.types.is_null(now) or (_is_text(before) and _is_text(now)):
            return values.cast(before)
        raise WrongWindow(f"column {name!r} of {EVENTS} is {now} and was {before} before; cast it")

    def put(self, events: Held) -> None:
        """Take events whose values were read."""
        self._waiting.put(events)

    @property
    def counting(self) -> int:
        """How many events counted at the last close and have not left."""
        return len(self._counting.codes)

    def close(self, changes: Deltas, until: int) -> dict[str, pa.Array]:
        """The measures at each of the summed changes up to `until`; what has left by then is let go."""
        counting = self._counting.part(slice(0, 0))
        if len(changes.codes):  # else nothing has entered or left
            counting = Held.joined([self._counting, self._waiting.take(until)])
            order = order_by(counting.at, counting.sequence)
            counting = counting if order is None else counting.part(order)
            self._counting = counting.part(np.flatnonzero(counting.leaves > until))
        spans = _spans(counting, changes)
        values = counting.values.cast(pa.schema(self._types.items()))
        columns = {name: values[name].combine_chunks() for name in self._types}
        return {name: each.over(columns[each.column], spans) for name, each in self._measures.items()}


def _spans(events: Held, changes: Deltas) -> Spans:
    """The rows, one for each change, in which events count."""
    moments = np.unique(changes.boundaries)
    places = len(moments) + 1

    def row_of(boundaries: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.int64]:
        return codes * places + np.searchsorted(moments, boundaries)

    rows = row_of(changes.boundaries, changes.codes)
    starts = np.searchsorted(rows, row_of(events.boundaries, events.codes))
    ends = np.searchsorted(rows, row_of(events.leaves, events.codes))
    return Spans(starts, ends, len(rows))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
