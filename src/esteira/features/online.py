"""Read features for one request: the same values that the point-in-time join gives for that moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esteira.features.keys import key_text
from esteira.features.stores.port import Layout, ViewChanged

if TYPE_CHECKING:
    from esteira.features.stores.port import OnlineStore, StoredRow
    from esteira.registry.signature import ViewRef


class OnlineReader:
    """Reads the views of one model; what can be decided before the request is decided here, once.

    Raises: ViewChanged when the store holds a view with other keys or without one of the features.
    >>> from esteira.features.stores import open_store
    >>> from esteira.registry.signature import ViewRef
    >>> reader = OnlineReader(open_store("memory:"), (ViewRef("weather", ("origin",), ("visib",)),))
    >>> request = {"origin": "JFK"}
    >>> reader.fill(request, at=1_357_000_000_000_000); request
    {'origin': 'JFK', 'weather__visib': None}
    """

    def __init__(self, store: OnlineStore, views: tuple[ViewRef, ...]) -> None:
        self._store = store
        self._plans = [_Plan(view) for view in views]
        for plan in self._plans:
            plan.settle(store)

    def fill(self, values: dict[str, Any], at: int) -> None:
        """Add `view__feature` for every feature, as of UTC microsecond `at`; keys are found in `values`.

        A feature is None when its row is missing, has expired (the TTL counts from the event time and its
        last moment belongs to it), or holds null; also when its row happened or became known after `at`,
        for nothing may leak, and when a key is null or absent.
        Raises: WrongKey, ViewChanged, and what the store raises.
        """
        plans, lookups = [], []
        for plan in self._plans:
            key = plan.key(values)
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


class _Plan:
    """How one view is read."""

    __slots__ = ("_keys", "_ttl_us", "_view", "name", "nothing", "places")

    def __init__(self, view: ViewRef) -> None:
        self.name = view.name
        self.nothing: dict[str, None] = dict.fromkeys(f"{view.name}__{feature}" for feature in view.features)
        self.places: list[tuple[str, int]] = []  # column of the answer, place in the stored row
        self._view, self._keys, self._ttl_us = view, view.keys, view.ttl_us

    def settle(self, store: OnlineStore) -> list[tuple[str, int]]:
        """Find the places of the features as soon as the store knows the view; they never change then."""
        stored, view = store.layout(self.name), self._view
        if stored is not None:
            if stored.keys != view.keys or not {*view.features} <= {*stored.features}:
                raise ViewChanged(self.name, stored, Layout(view.keys, view.features))
            places = [stored.features.index(feature) for feature in view.features]
            self.places = list(zip(self.nothing, places, strict=True))
        return self.places

    def key(self, values: dict[str, Any]) -> tuple[str, ...] | None:
        """The key of the request, or None when it is about nobody."""
        parts = []
        for name in self._keys:
            text = values.get(name)
            if text.__class__ is not str:  # the usual case costs no call
                text = key_text(text, name)
            if text is None:
                return None
            parts.append(text)
        return tuple(parts)

    def holds(self, row: StoredRow, at: int) -> bool:
        """Whether the row had happened and was known by `at`, and has not expired."""
        event_us, created_us, _ = row
        return event_us <= at and created_us <= at and (self._ttl_us is None or at - event_us <= self._ttl_us)
