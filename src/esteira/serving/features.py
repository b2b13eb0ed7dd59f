"""Features for whoever asks: views by name, entities by key, each cell with its status."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from esteira.base.errors import BadInput, NotFound, UnknownName
from esteira.features.online import OnlineReader
from esteira.registry.signature import ViewRef

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from esteira.base.ports import Clock
    from esteira.features.online import OnlineAnswer
    from esteira.features.stores.port import Layout, OnlineStore

_FRESH_US = 1_000_000  # a reader is made anew after a second, so that a view's new TTL is taken up
_READERS = 256  # kept; names come from outside
_MOST_ENTITIES = 10_000


@dataclass(frozen=True, slots=True)
class _Kept:
    reader: OnlineReader
    until_us: int


class FeatureReads:
    """Reads any view of the online store; the store is opened at the first question.

    >>> from esteira.base.clock import SystemClock
    >>> from esteira.features.stores import open_store
    >>> FeatureReads(lambda: open_store("memory:"), SystemClock()).views()
    {}
    """

    def __init__(self, store: Callable[[], OnlineStore], clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._readers: dict[tuple[str, ...], _Kept] = {}

    def views(self) -> Mapping[str, Layout]:
        """Every view that was ever written, by name."""
        return self._store().views()

    def layout(self, view: str) -> Layout:
        """How one view is stored. Raises: NotFound."""
        return layout_of(self._store(), view)

    def read(
        self, features: Sequence[str], entities: Sequence[Mapping[str, Any]], at: int | None = None
    ) -> OnlineAnswer:
        """Features of each entity at UTC microsecond `at`, now if not said; `features` as for `reader_of`.

        The store keeps the newest row of each key, so at a moment before that row there is nothing.
        Raises: NotFound, UnknownName, BadInput, MissingKey, WrongKey.
        """
        if len(entities) > _MOST_ENTITIES:
            raise BadInput(
                f"at most {_MOST_ENTITIES} entities at once, found {len(entities)}; send several requests"
            )
        now = self._clock.micros()
        return self._reader(tuple(features), now).read(entities, now if at is None else at)

    def _reader(self, features: tuple[str, ...], now: int) -> OnlineReader:
        kept = self._readers.get(features)
        if kept is None or now >= kept.until_us:
            if len(self._readers) >= _READERS:
                self._readers = {}
            kept = self._readers[features] = _Kept(reader_of(self._store(), features), now + _FRESH_US)
        return kept.reader


def reader_of(store: OnlineStore, features: Sequence[str]) -> OnlineReader:
    """A reader of whole views (`weather`) and of single features (`weather__temp`), each view once.

    Raises: NotFound (a view), UnknownName (a feature), BadInput (nothing, or a feature twice).
    """
    if not features:
        raise BadInput("name at least one view or feature, e.g. weather or weather__temp")
    wanted: dict[str, ViewRef] = {}
    for name in features:
        view, _, feature = name.partition("__")
        layout = layout_of(store, view)
        if feature and feature not in layout.features:
            raise UnknownName(f"feature of view {view!r}", feature[:80], layout.features)
        more = (feature,) if feature else layout.features
        found = wanted.get(view, ViewRef(view, layout.keys, (), layout.ttl_us))
        if {*found.features} & {*more}:
            raise BadInput(f"{name[:80]!r} is asked for twice; name it once")
        wanted[view] = replace(found, features=(*found.features, *more))
    return OnlineReader(store, wanted.values())


def layout_of(store: OnlineStore, view: str) -> Layout:
    """How a view is stored. Raises: NotFound."""
    layout = store.layout(view)
    if layout is None:
        known = ", ".join(sorted(store.views())) or "none; run: esteira features materialize"
        raise NotFound("feature view", view[:80], f"there are: {known}")
    return layout
