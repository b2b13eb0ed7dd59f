"""The catalog: every feature view with its source, the lineage of its features, users and online state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from esteira.base.clock import from_micros
from esteira.base.errors import NotFound, ServiceUnreachable, UnknownName
from esteira.features.ledger import DefinitionChanged
from esteira.registry.bundle import CARD, read_signature

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime, timedelta
    from pathlib import Path

    from esteira.base.records import TableVersion
    from esteira.features.views import FeatureView
    from esteira.project.station import Station
    from esteira.registry.signature import Signature

_NEWEST_VERSIONS = 50  # of the model, whose signatures are read


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a feature comes from: a column of a table as it is, or measured over a window of its rows."""

    feature: str
    table: str
    column: str  # empty when the events themselves are counted
    measure: str = ""  # e.g. mean; empty when the column is taken as it is

    @property
    def place(self) -> str:
        """The column with its table, or the table."""
        return f"{self.table}.{self.column}" if self.column else self.table

    @property
    def path(self) -> str:
        """The lineage in a word.

        >>> Origin("late_share", "flights", "late", "mean").path
        'mean(flights.late)'
        """
        return f"{self.measure}({self.place})" if self.measure else self.place


class OnlineStatus(StrEnum):
    NEW = "new"  # never materialized
    RUNNING = "running"  # or killed: the next materialization goes on from there
    BEHIND = "behind"  # its source has a newer version
    CURRENT = "current"
    CHANGED = "changed"  # the definition is not the one that was materialized
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class OnlineState:
    """How far the online store is with a view, as its ledger says."""

    status: OnlineStatus
    version: int | None = None  # of the source
    until: datetime | None = None  # all that was known by then is stored


@dataclass(frozen=True, slots=True)
class ViewEntry:
    """A view as the catalog shows it; what does not exist yet is None or empty."""

    name: str  # qualified
    version: int
    description: str
    keys: tuple[str, ...]
    ttl: str  # empty for ever
    window: str  # `length / hop`, if it has one
    event_time: str
    created_time: str | None
    source: str
    newest: TableVersion | None  # of its source
    origins: tuple[Origin, ...]  # of its features, in their order
    steps: tuple[str, ...]  # that take the view
    models: tuple[int, ...]  # registered versions that read it, newest first
    on_demand: Mapping[str, tuple[str, ...]]  # what the newest of them computes of it → from which columns
    online: OnlineState


def catalog(station: Station) -> list[ViewEntry]:
    """All views of the project, in its order. Raises: what the registry raises."""
    users = _users(station)
    return [_entry(station, view, users.get(view.qualified, {})) for view in station.project.views]


def find_view(station: Station, name: str) -> FeatureView:
    """A view by its qualified name. Raises: UnknownName."""
    found = {each.qualified: each for each in station.project.views}
    if name not in found:
        raise UnknownName("view", name, found)
    return found[name]


def entry_of(station: Station, view: FeatureView) -> ViewEntry:
    """What the catalog says of one view."""
    return _entry(station, view, _users(station).get(view.qualified, {}))


def search(station: Station, text: str) -> list[ViewEntry]:
    """The views in which every word of `text` is found: in names, keys, features, sources or descriptions."""
    words = text.casefold().split()
    return [each for each in catalog(station) if all(word in _told(each) for word in words)]


def _told(entry: ViewEntry) -> str:
    origins = (f"{each.feature} {each.table} {each.column} {each.measure}" for each in entry.origins)
    return " ".join((entry.name, entry.description, *entry.keys, *origins, *entry.steps)).casefold()


def newest(station: Station, table: str) -> TableVersion | None:
    """The newest version of a table; None before its first rows."""
    try:
        return station.tables.version(table)
    except NotFound:
        return None


def spelled(span: timedelta) -> str:
    """A duration in short.

    >>> from datetime import timedelta
    >>> spelled(timedelta(days=1, hours=6)), spelled(timedelta(0))
    ('1 d 6 h', '0 s')
    """
    minutes, seconds = divmod(span.seconds, 60)
    parts = {"d": span.days, "h": minutes // 60, "min": minutes % 60, "s": seconds + span.microseconds / 1e6}
    return " ".join(f"{count:g} {unit}" for unit, count in parts.items() if count) or "0 s"


def _entry(station: Station, view: FeatureView, models: Mapping[int, Signature]) -> ViewEntry:
    source = newest(station, view.source)
    window = view.window and f"{spelled(view.window.length)} / {spelled(view.window.hop)}"
    return ViewEntry(
        name=view.qualified,
        version=view.version,
        description=view.description,
        keys=view.keys,
        ttl="" if view.ttl is None else spelled(view.ttl),
        window=window or "",
        event_time=view.event_time if view.window is None else view.window.time,
        created_time=view.known_by,
        source=view.source,
        newest=source,
        origins=tuple(_origin(view, feature) for feature in view.features),
        steps=_steps(station, view),
        models=tuple(models),
        on_demand=_on_demand(view, models.values()),
        online=_online(station, view, source),
    )


def _steps(station: Station, view: FeatureView) -> tuple[str, ...]:
    """The steps that take a view; by the name alone they get the newest version of it."""
    newest_one = max(each.version for each in station.project.views if each.name == view.name)
    names = {view.qualified, view.name} if view.version == newest_one else {view.qualified} - {view.name}
    return tuple(each.name for each in station.project.steps if names & {*each.parameters})


def _origin(view: FeatureView, feature: str) -> Origin:
    if view.window is None:
        return Origin(feature, view.source, feature)
    measure = view.window.measures[feature]
    return Origin(feature, view.source, measure.column or "", type(measure).__name__.lower())


def _online(station: Station, view: FeatureView, source: TableVersion | None) -> OnlineState:
    try:
        found = station.ledger.entry(view)
    except DefinitionChanged:
        return OnlineState(OnlineStatus.CHANGED)
    except ServiceUnreachable:
        return OnlineState(OnlineStatus.UNREACHABLE)
    if found.status != "done":
        return OnlineState(OnlineStatus(found.status))
    is_behind = source is not None and found.version < source.version
    status = OnlineStatus.BEHIND if is_behind else OnlineStatus.CURRENT
    return OnlineState(status, found.version, from_micros(found.until))


def _users(station: Station) -> dict[str, dict[int, Signature]]:
    """View → the registered versions that read it, newest first, with their signatures."""
    found: dict[str, dict[int, Signature]] = {}
    if not station.artifacts.count():  # nothing was trained here: a registry need not be opened to say so
        return found
    for version in reversed(station.registry.versions(station.project.name)[-_NEWEST_VERSIONS:]):
        folder = station.artifacts.folder(version.digest)
        if version.digest and (folder / CARD).is_file():  # one never trained or served here is not read
            signature = _signature_of(folder)
            for view in signature.views:
                found.setdefault(view.name, {})[version.version] = signature
    return found


@lru_cache(maxsize=256)  # a bundle never changes
def _signature_of(folder: Path) -> Signature:
    return read_signature(folder)


def _on_demand(view: FeatureView, signatures: Iterable[Signature]) -> dict[str, tuple[str, ...]]:
    newest_one = next(iter(signatures), None)
    found: dict[str, tuple[str, ...]] = {}
    for each in newest_one.derived if newest_one else ():
        inputs = tuple(name for name, _ in each.expression.inputs)
        if {*inputs} & {*view.columns}:
            found |= dict.fromkeys(each.columns, inputs)
    return found
