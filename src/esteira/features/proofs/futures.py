"""Other futures: the same past up to a moment, and after it rows that are gone or hold other values.

Nothing that was asked by that moment may depend on which future it was. So whoever computes features again
in another future, and finds one of them changed, has found a leak, whatever the code that computed it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.features.times import micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

NEVER_KNOWN = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Source:
    """Rows from which features are made, each with the moment by which it was known.

    Arrays have shape (rows,), in UTC microseconds. `since_us` is when a row says that it became true: one
    that was known only later must not answer in between. Raises: nothing.
    """

    rows: pa.Table
    known_us: NDArray[np.int64]
    since_us: NDArray[np.int64]
    keys: tuple[str, ...] = ()  # what its rows are about, found among the columns of the questions


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of a training set, before any feature was added to them.

    `features` are the columns of the finished set whose cells must not depend on the future. `known_us` is
    when the outcome of each was known, in UTC microseconds; when that is not known, any moment after it was
    asked but not too late is safe. `id` names a column that tells questions apart here and in the set.
    """

    rows: pa.Table
    at: str
    target: str
    features: tuple[str, ...]
    known_us: NDArray[np.int64]
    id: str = ""

    @property
    def asked_us(self) -> NDArray[np.int64]:
        """When each was asked. Raises: UnknownName, NaiveTime, NotATime, NullTime."""
        return micros(self.rows, self.at, "the questions")

    def are_named_in(self, source: Source) -> bool:
        """Whether the rows of a source say which question each of them belongs to."""
        name, rows = self.id, source.rows
        return name in rows.column_names and rows[name].type == self.rows[name].type


@dataclass(frozen=True, slots=True)
class World:
    """All that a training set is made of."""

    questions: Questions
    sources: Mapping[str, Source]

    def tables(self) -> dict[str, pa.Table]:
        """The rows of every source."""
        return {name: source.rows for name, source in self.sources.items()}


def truncated(world: World, moment: int, _: np.random.Generator) -> World:
    """The world without the source rows that were not known at `moment`; the questions stay."""
    kept = {name: _part(source, source.known_us <= moment) for name, source in world.sources.items()}
    return replace(world, sources=kept)


def mutated(world: World, moment: int, chance: np.random.Generator) -> World:
    """The world in which all that was not known at `moment` keeps its keys and times, and nothing else.

    Later questions are others too, and have other outcomes.
    """
    changed = {}
    for name, source in world.sources.items():
        kept = {*source.keys, world.questions.id}
        changed[name] = _with_others(source, source.known_us > moment, chance, kept)
    questions = world.questions
    later = questions.asked_us > moment
    drawn = np.where(later, chance.integers(0, max(len(later), 1), len(later)), np.arange(len(later)))
    rows = questions.rows
    for at, field in enumerate(rows.schema):
        if not _is_time(field.type) and field.name not in (questions.id, questions.target):
            rows = rows.set_column(at, field, rows.column(at).take(pa.array(drawn)))
    rows = _changed(rows, [questions.target], later, chance)
    return World(replace(questions, rows=rows), changed)


def with_other_outcomes(world: World, moment: int, chance: np.random.Generator) -> World:
    """The world in which only the questions that were open at `moment` have another outcome.

    Open are those asked by then whose outcome was not known yet. With an id, the source rows that carry
    their outcomes change as well.
    """
    questions = world.questions
    asked = questions.asked_us
    is_open = (asked <= moment) & (questions.known_us > moment)
    sources = dict(world.sources)
    for name, source in world.sources.items():
        if questions.are_named_in(source):
            own = pc.is_in(source.rows[questions.id], questions.rows[questions.id].filter(pa.array(is_open)))
            carries = np.asarray(own) & (source.known_us > moment)
            sources[name] = _with_others(source, carries, chance, {*source.keys, questions.id})
    rows = _changed(questions.rows, [questions.target], is_open, chance)
    return World(replace(questions, rows=rows), sources)


FUTURES: Mapping[str, Callable[[World, int, np.random.Generator], World]] = {
    "truncation": truncated,
    "mutation": mutated,
    "own outcome": with_other_outcomes,
}


def _part(source: Source, keep: NDArray[np.bool_]) -> Source:
    rows = source.rows.filter(pa.array(keep))
    return replace(source, rows=rows, known_us=source.known_us[keep], since_us=source.since_us[keep])


def _with_others(
    source: Source, which: NDArray[np.bool_], chance: np.random.Generator, kept: set[str]
) -> Source:
    names = [f.name for f in source.rows.schema if f.name not in kept and not _is_time(f.type)]
    return replace(source, rows=_changed(source.rows, names, which, chance))


def _changed(
    rows: pa.Table, names: Iterable[str], which: NDArray[np.bool_], chance: np.random.Generator
) -> pa.Table:
    for name in names:
        at = rows.schema.get_field_index(name)
        if at >= 0 and which.any():
            rows = rows.set_column(at, rows.schema.field(at), other_values(rows.column(at), which, chance))
    return rows


def other_values(
    values: pa.ChunkedArray, which: NDArray[np.bool_], chance: np.random.Generator
) -> pa.ChunkedArray:
    """The column with another of its own values wherever `which` says: 0 for 1, a value for a null.

    A number that is the only value of its column grows by one; what has no other value stays.
    >>> column = pa.chunked_array([["a", "b", "b"]])
    >>> other_values(column, np.array([False, True, True]), np.random.default_rng(1)).to_pylist()
    ['a', 'a', 'a']
    """
    try:
        known = pc.unique(values)
        places = np.asarray(pc.index_in(values, known), dtype=np.int64)
    except (pa.ArrowNotImplementedError, TypeError):  # a list or a struct: the whole values change places
        known, places = values, np.arange(len(values))
    if len(known) < 2:
        return _grown(values, which)
    steps = chance.integers(1, len(known), len(places))
    moved = np.where(which, (places + steps) % len(known), places)
    taken = known.take(pa.array(moved))
    return taken if isinstance(taken, pa.ChunkedArray) else pa.chunked_array([taken])


def _grown(values: pa.ChunkedArray, which: NDArray[np.bool_]) -> pa.ChunkedArray:
    kind = values.type
    if pa.types.is_boolean(kind):
        return pc.if_else(pa.array(which), pc.invert(values), values)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return pc.if_else(pa.array(which), pc.add(values, pa.scalar(1, kind)), values)
    return values


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_temporal(kind))
