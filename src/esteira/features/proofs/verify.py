"""Does the online store answer what the point-in-time join finds in the tables, cell for cell?"""

from __future__ import annotations

import hashlib
import heapq
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from esteira.features.keys import key_text
from esteira.features.online import OnlineReader
from esteira.features.point_in_time import point_in_time_join
from esteira.features.stores.port import ViewChanged
from esteira.features.times import UTC_MICROS
from esteira.features.views import BoundView

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from esteira.features.stores.port import OnlineStore, StoredRow

_AT = "__at"  # no view may have a key of that name
_SHOWN = 5

STALE = "the store is stale; run: esteira features materialize"
AHEAD = "the store keeps only the latest row, which came after this moment; verify a later one"
FOREIGN = "the store holds a row that the table has not; the table was replaced or the store written by hand"
CHANGED = "the same row has other values: the definition or the rows changed; raise the view's version"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One cell that the store and the tables do not answer alike."""

    key: tuple[str, ...]
    column: str
    online: Any
    online_status: str
    offline: Any
    offline_status: str
    cause: str


@dataclass(frozen=True, slots=True)
class ViewVerified:
    """The comparison of one view on a sample of its keys."""

    view: str
    keys: int
    cells: int
    differing: int
    causes: Mapping[str, int]  # likely cause → differing cells
    examples: tuple[Disagreement, ...]  # the first few

    @property
    def passed(self) -> bool:
        return not self.differing


def verify_view(
    bound: BoundView, store: OnlineStore, at: int, *, sample: int = 1000, seed: int = 7
) -> ViewVerified:
    """Compare what the store answers at UTC microsecond `at` with the join, values and statuses.

    The keys are those of the view's rows, also of rows that were not known yet. When there are more than
    `sample`, those with the smallest seeded hash are taken, so that the same keys are looked at as rows come.
    Raises: what the join, the reader and the store raise; a view that is stored with other keys or features
    differs in all its cells.
    >>> from esteira.features.stores import open_store
    >>> from esteira.features.views import FeatureView
    >>> view = FeatureView("v", ("k",), ("f",), "t")
    >>> rows = pa.table({"k": ["x", "y"], "event_ts": pa.array([1, 2], UTC_MICROS), "f": [5.0, None]})
    >>> store = open_store("memory:")
    >>> _ = store.write(view, rows.slice(1))
    >>> found = verify_view(BoundView(view, rows), store, at=9)
    >>> found.cells, found.differing, found.examples[0].key, found.examples[0].online_status
    (2, 1, ('x',), 'missing')
    """
    view = bound.view
    keys = sampled_keys(bound, sample, seed)
    asked = keys.append_column(_AT, pa.array([at] * keys.num_rows, UTC_MICROS))
    offline = point_in_time_join(asked, [bound], at=_AT, with_status=True)
    cells = keys.num_rows * len(view.columns)
    try:
        differing = list(_disagreements(bound, store, offline, at))
    except ViewChanged as changed:
        return ViewVerified(view.qualified, keys.num_rows, cells, cells, {str(changed): cells}, ())
    causes = [each.cause for each in differing]
    return ViewVerified(
        view.qualified,
        keys.num_rows,
        cells,
        len(differing),
        {cause: causes.count(cause) for cause in dict.fromkeys(causes)},
        tuple(differing[:_SHOWN]),
    )


def sampled_keys(bound: BoundView, sample: int, seed: int) -> pa.Table:
    """Up to `sample` of a view's keys, one row each, by the smallest hash of their texts."""
    names = bound.view.keys
    if not names:
        return pa.table({"": pa.nulls(1)})
    keys = bound.rows.select(names).group_by(list(names)).aggregate([]).drop_null()
    rows = zip(*(keys[name].to_pylist() for name in names), strict=True)
    texts = ("\x00".join(_texts(row, names)) for row in rows)
    return keys.take(sampled(texts, sample, seed))


def sampled(texts: Iterable[str], count: int, seed: int) -> pa.Array:
    """The places of the `count` texts with the smallest seeded hashes, ascending; all when there are fewer.

    >>> sampled(["a", "b", "c"], 9, seed=7).to_pylist(), len(sampled(["a", "b", "c"], 2, seed=7))
    ([0, 1, 2], 2)
    """
    salt = seed.to_bytes(8, "big", signed=True)
    hashes = (hashlib.blake2b(text.encode(), digest_size=8, salt=salt).digest() for text in texts)
    chosen = heapq.nsmallest(count, ((each, place) for place, each in enumerate(hashes)))
    return pa.array(sorted(place for _, place in chosen), pa.int64())


def _texts(key: Sequence[Any], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(key_text(part, name)) for part, name in zip(key, names, strict=True))


def _disagreements(
    bound: BoundView, store: OnlineStore, offline: pa.Table, at: int
) -> Iterator[Disagreement]:
    view = bound.view
    entities = offline.select([*view.keys, _AT]).to_pylist()
    answer = OnlineReader(store, (view.ref(),)).read(entities, at)
    newest = _newest(bound, offline)
    for number, column in enumerate(view.columns):
        values, statuses = offline[column].to_pylist(), offline[f"{column}__status"].to_pylist()
        for row, (value, status) in enumerate(zip(values, statuses, strict=True)):
            online, why = answer.values[row][number], answer.status[row][number]
            if status != why or not _same(value, online):
                key = _texts([entities[row][name] for name in view.keys], view.keys)
                cause = _cause(store.read(view.qualified, key), newest[row], at)
                yield Disagreement(key, column, online, why, value, status, cause)


def _newest(bound: BoundView, asked: pa.Table) -> list[tuple[int, int] | None]:
    """The event and created time of the newest row of each key that was known, expired or not."""
    view, rows = bound.view, bound.rows
    times = view.event_time, view.created_time or view.event_time
    for name, time in zip(("event", "created"), times, strict=True):
        rows = rows.append_column(f"__{name}", rows[time].cast(UTC_MICROS).cast(pa.int64()))
    dated = replace(view, features=("__event", "__created"), ttl=None, window=None)
    spine = asked.select([*view.keys, _AT])
    found = point_in_time_join(spine, [BoundView(dated, rows)], at=_AT)
    pairs = zip(*(found[column].to_pylist() for column in dated.columns), strict=True)
    return [None if event is None else (event, created) for event, created in pairs]


def _cause(stored: StoredRow | None, newest: tuple[int, int] | None, at: int) -> str:
    """Why the store answers otherwise, from the times of the row it has and the row it should have."""
    if stored is None:
        return STALE
    held = stored.event_us, stored.created_us
    if max(held) > at:
        return AHEAD
    if newest is not None and held <= newest:
        return CHANGED if held == newest else STALE
    return FOREIGN


def _same(offline: object, online: object) -> bool:
    """Whether a value of the table is the one that a store keeps for it: text, or a float64."""
    if offline is None or online is None or isinstance(offline, str) or isinstance(online, str):
        return offline == online
    one, other = float(offline), float(online)  # type: ignore[arg-type]  # only numbers and flags are left here
    return one == other or (math.isnan(one) and math.isnan(other))
