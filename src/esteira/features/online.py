"""Read features for requests: the same values that the point-in-time join gives for that moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from esteira.base.errors import BadInput, UnknownName
from esteira.features.keys import key_text
from esteira.features.status import EXPIRED, MISSING, NULL, PRESENT
from esteira.features.stores.port import Layout, ViewChanged
from esteira.registry.signature import ViewRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from esteira.features.stores.port import OnlineStore, StoredRow
    from esteira.features.views import FeatureView

    Values = tuple[float | str | None, ...]
    _Cells = tuple[Values, tuple[str, ...]]

_FOR_EVER = 1 << 65  # microseconds: longer than between any two moments


class MissingKey(BadInput):
    """An entity that does not say one of the keys of a view."""

    def __init__(self, key: str, entity: Mapping[str, Any]) -> None:
        found = ", ".join(sorted(entity)) or "nothing"
        super().__init__(f"an entity must give key {key!r}, null when unknown; found {found[:80]}")
        self.key = key


@dataclass(frozen=True, slots=True)
class OnlineAnswer:
    """Features of several entities: one row for each, and in it one cell for each column `view__feature`.

    The status of a cell is one of `features.status`; its value is None unless that is "present".
    """

    columns: tuple[str, ...]
    values: list[list[float | str | None]]
    status: list[list[str]]


class OnlineReader:
    """Reads some views; what can be decided before the request is decided here, once.

    Raises: ViewChanged when the store holds a view with other keys or without one of the features.
    >>> from esteira.features.stores import open_store
    >>> from esteira.registry.signature import ViewRef
    >>> reader = OnlineReader(open_store("memory:"), (ViewRef("weather", ("origin",), ("visib",)),))
    >>> request = {"origin": "JFK"}
    >>> reader.fill(request, at=1_357_000_000_000_000); request
    {'origin': 'JFK', 'weather__visib': None}
    """

    def __init__(self, store: OnlineStore, views: Iterable[ViewRef]) -> None:
        self._store = store
        wanted = list(views)
        self._keys = list(dict.fromkeys(view.keys for view in wanted))
        self._plans = [_Plan(view, self._keys.index(view.keys)) for view in wanted]
        self._columns = tuple(column for plan in self._plans for column in plan.columns)
        for plan in self._plans:
            plan.settle(store)

    @classmethod
    def of(cls, store: OnlineStore, views: Iterable[FeatureView | str]) -> Self:
        """The reader of views, or of names of views as the store has them, with their last TTL.

        Raises: UnknownName (nothing was ever written under that name), ViewChanged.
        >>> from esteira.features.stores import open_store
        >>> from esteira.features.views import FeatureView
        >>> view = FeatureView("weather", ("origin",), ("visib",), "weather")
        >>> answer = OnlineReader.of(open_store("memory:"), [view]).read([{"origin": "JFK"}], at=0)
        >>> answer.columns, answer.values, answer.status
        (('weather__visib',), [[None]], [['missing']])
        """
        return cls(store, [_stored(store, view) if isinstance(view, str) else view.ref() for view in views])

    def fill(self, values: dict[str, Any], at: int) -> None:
        """Add `view__feature` for every feature, as of UTC microsecond `at`; keys are found in `values`.

        A feature is None when its row is missing, has expired (the TTL counts from the event time and its
        last moment belongs to it), or holds null; also when its row happened or became known after `at`,
        for nothing may leak, and when a key is null or absent.
        Raises: WrongKey, ViewChanged, and what the store raises.
        """
        keys = [_key(names, values) for names in self._keys]
        plans, lookups = [], []
        for plan in self._plans:
            key = keys[plan.entity]
            if key is None:
                values.update(plan.nothing)
            else:
                plans.append(plan)
                lookups.append((plan.name, key))
        for plan, row in zip(plans, self._store.read_many(lookups), strict=True):
            if row is None or not plan.holds(row, at):
                values.update(plan.nothing)
            else:
                places = plan.places or plan.settle(self._store)
                stored = row.values
                for column, place in places:
                    values[column] = stored[place]

    def read(self, entities: Sequence[Mapping[str, Any]], at: int) -> OnlineAnswer:
        """The features of every entity as of UTC microsecond `at`, with the status of each cell.

        An entity gives the keys of all views; what else it holds is passed over. All rows are read in one
        round trip and belong to one moment.
        Raises: MissingKey, WrongKey, ViewChanged, and what the store raises.
        """
        asked = [[_key(names, entity, required=True) for names in self._keys] for entity in entities]
        plans = [(plan.name, plan.entity) for plan in self._plans]
        lookups = [
            (name, key) for keys in asked for name, at_key in plans if (key := keys[at_key]) is not None
        ]
        rows = self._store.read_many(lookups)
        if len(lookups) < len(asked) * len(plans):  # somebody is nobody
            found = iter(rows)
            rows = [None if keys[at_key] is None else next(found) for keys in asked for _, at_key in plans]
        values: list[list[float | str | None]] = [[] for _ in asked]
        status: list[list[str]] = [[] for _ in asked]
        for number, plan in enumerate(self._plans):
            answers = plan.answers(rows[number :: len(plans)], at, self._store)
            for place, (cells, words) in enumerate(answers):
                values[place] += cells
                status[place] += words
        return OnlineAnswer(self._columns, values, status)


class _Plan:
    """How one view is read."""

    def __init__(self, view: ViewRef, entity: int) -> None:
        self.name, self.entity = view.name, entity  # which of the reader's keys
        self.columns = tuple(f"{view.name}__{feature}" for feature in view.features)
        self.nothing: dict[str, None] = dict.fromkeys(self.columns)
        self.places: list[tuple[str, int]] = []  # column of the answer, place in the stored row
        self._is_whole = False  # whether the places are those of the stored row
        self._view, self._ttl_us = view, _FOR_EVER if view.ttl_us is None else view.ttl_us
        empty, width = tuple(self.nothing.values()), len(self.columns)
        self._missing, self._expired = (empty, (MISSING,) * width), (empty, (EXPIRED,) * width)
        self._present = (PRESENT,) * width

    def settle(self, store: OnlineStore) -> list[tuple[str, int]]:
        """Find the places of the features as soon as the store knows the view; they never change then."""
        stored, view = store.layout(self.name), self._view
        if stored is not None:
            if stored.keys != view.keys or not {*view.features} <= {*stored.features}:
                raise ViewChanged(self.name, stored, Layout(view.keys, view.features))
            self._is_whole = stored.features == view.features
            places = [stored.features.index(feature) for feature in view.features]
            self.places = list(zip(self.columns, places, strict=True))
        return self.places

    def holds(self, row: StoredRow, at: int) -> bool:
        """Whether the row had happened and was known by `at`, and has not expired."""
        event_us, created_us, _ = row
        return event_us <= at and created_us <= at and at - event_us <= self._ttl_us

    def answers(self, rows: Iterable[StoredRow | None], at: int, store: OnlineStore) -> Iterator[_Cells]:
        """The cells of this view out of each row, and their status: `holds` once more, with its reasons."""
        missing, present, expired = self._missing, self._present, self._expired
        oldest = at - self._ttl_us
        for row in rows:
            if row is None:
                yield missing
                continue
            event_us, created_us, cells = row
            if event_us > at or created_us > at:
                yield missing
            elif event_us < oldest:
                yield expired
            else:
                places = self.places or self.settle(store)
                if not self._is_whole:
                    cells = tuple(cells[place] for _, place in places)
                yield cells, _words(cells) if None in cells else present


def _words(cells: Values) -> tuple[str, ...]:
    return tuple(NULL if cell is None else PRESENT for cell in cells)


def _key(
    names: tuple[str, ...], values: Mapping[str, Any], *, required: bool = False
) -> tuple[str, ...] | None:
    """The key of an entity, or None when it is about nobody. Raises: WrongKey, MissingKey."""
    parts = []
    for name in names:
        text = values.get(name)
        if text.__class__ is not str:  # the usual case costs no call
            if required and name not in values:
                raise MissingKey(name, values)
            text = key_text(text, name)
        if text is None:
            return None
        parts.append(text)
    return tuple(parts)


def _stored(store: OnlineStore, name: str) -> ViewRef:
    layout = store.layout(name)
    if layout is None:
        raise UnknownName("view of the online store", name, store.views())
    return ViewRef(name, layout.keys, layout.features, layout.ttl_us)
