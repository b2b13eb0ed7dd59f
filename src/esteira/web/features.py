"""The pages of the catalog: all feature views, and one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from markupsafe import Markup

from esteira.project.catalog import catalog, entry_of, find_view
from esteira.project.distributions import statistics
from esteira.web.cells import moment, tag
from esteira.web.charts import histogram
from esteira.web.lineage import Node, lineage
from esteira.web.pages import Section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.features.statistics import FeatureStatistics
    from esteira.project.catalog import ViewEntry
    from esteira.project.distributions import ViewStatistics
    from esteira.project.station import Station
    from esteira.web.words import Words

_SHOWN = 4  # histograms of a view in the list, and versions of the model in a drawing


def features(station: Station, say: Words) -> list[Section]:
    """Every view with its state, freshness and distributions, and where they come from and go to."""
    entries = catalog(station)
    rows = [_row(entry, statistics(station, find_view(station, entry.name)), say) for entry in entries]
    columns = ("view", "online", "newest event", "rows", "distributions", "keys", "about")
    sections = [Section(columns=columns, rows=rows, numbers=(3,))]
    if entries:
        sections.append(Section("From source to model", chart=_whole(entries, station.project.name, say)))
    return sections


def feature_view(station: Station, say: Words, name: str) -> list[Section]:
    """One view: what it is, where each feature comes from, and how it is distributed. Raises: UnknownName."""
    view = find_view(station, name)
    entry, told = entry_of(station, view), statistics(station, view)
    sections = [
        Section(text=entry.description, facts=_facts(entry, told, say)),
        Section("From column to model", chart=_columns(entry, station.project.name, say)),
    ]
    columns = ("feature", "distribution", "type", "null", "distinct", "mean", "std", "low", "median", "high")
    rows = [_described(each, say) for each in told.features] if told else []
    sections.append(Section("Statistics", columns=columns, rows=rows, numbers=(3, 4, 5, 6, 7, 8, 9)))
    return sections


def _row(entry: ViewEntry, told: ViewStatistics | None, say: Words) -> tuple[object, ...]:
    link = Markup('<a href="{}">{}</a>').format(_address(entry.name, say), entry.name)
    state = tag(entry.online.status, say)
    if told is None:
        return (link, state, "", "", "", ", ".join(entry.keys), entry.description)
    drawn = Markup("").join(_distribution(each, say) for each in told.features[:_SHOWN])
    charts = Markup('<span class="sparks">{}</span>').format(drawn)
    event = "" if told.newest_event is None else moment(told.newest_event)
    return (link, state, event, say.count(told.rows), charts, ", ".join(entry.keys), entry.description)


def _facts(entry: ViewEntry, told: ViewStatistics | None, say: Words) -> list[tuple[str, object]]:
    stored, source = entry.online, entry.source
    if entry.newest is not None:
        source = f"{entry.newest.ref}, {say.count(entry.newest.rows)} {say('rows')}"
    facts = [
        ("keys", ", ".join(entry.keys)),
        ("source", source),
        ("event time", entry.event_time),
        ("created time", entry.created_time),
        ("newest event", told and told.newest_event and moment(told.newest_event)),
        ("newest known", told and told.newest_known and moment(told.newest_known)),
        ("holds for", entry.ttl or say("ever")),
        ("window", entry.window),
        ("online", tag(stored.status, say)),
        ("known online until", stored.until and moment(stored.until)),
        ("steps", ", ".join(entry.steps)),
        ("models", ", ".join(f"v{number}" for number in entry.models)),
        ("computed on demand", ", ".join(entry.on_demand)),
    ]
    return [(say(name), value) for name, value in facts if value]


def _described(each: FeatureStatistics, say: Words) -> tuple[object, ...]:
    median = each.quantiles[2] if each.quantiles else None
    numbers = (each.mean, each.std, each.low, median, each.high)
    told = ("" if number is None else f"{number:.4g}" for number in numbers)
    share = f"{each.null_share:.1%}"
    return (each.feature, _distribution(each, say), each.type, share, say.count(each.distinct), *told)


def _distribution(each: FeatureStatistics, say: Words) -> Markup:
    bars = [(f"{value}: {say.count(count)}", count) for value, count in each.top]
    for at, count in enumerate(each.counts):
        bars.append((f"{each.edges[at]:.4g} – {each.edges[at + 1]:.4g}: {say.count(count)}", count))
    return histogram(bars, label=f"{say('distribution')}: {each.feature}")


def _whole(entries: Sequence[ViewEntry], model: str, say: Words) -> Markup:
    """Source → view → model."""
    sources = {each.source: each.newest for each in entries}
    tables = [
        Node(name, f"{say.count(at.rows)} {say('rows')}" if at else "", _page("data", say))
        for name, at in sources.items()
    ]
    views = [Node(each.name, _size(each, say), _address(each.name, say)) for each in entries]
    versions = sorted({number for each in entries for number in each.models})[-_SHOWN:]
    edges = [(each.source, each.name) for each in entries]
    edges += [(each.name, f"{model} v{number}") for each in entries for number in each.models]
    columns = (tables, views, _versions(model, versions, say))
    return lineage(columns, edges, label=say("From source to model"))


def _columns(entry: ViewEntry, model: str, say: Words) -> Markup:
    """Source column → feature → model."""
    places = dict.fromkeys(each.place for each in entry.origins)
    columns = [Node(place, "", _page("data", say)) for place in places]
    found = [Node(each.feature, each.measure and say(each.measure)) for each in entry.origins]
    edges = [(each.place, each.feature) for each in entry.origins]
    edges += [(each.feature, f"{model} v{number}") for each in entry.origins for number in entry.models]
    versions = _versions(model, sorted(entry.models)[-_SHOWN:], say)
    return lineage((columns, found, versions), edges, label=say("From column to model"))


def _versions(model: str, numbers: Sequence[int], say: Words) -> list[Node]:
    return [Node(f"{model} v{number}", "", _page("models", say)) for number in numbers]


def _size(entry: ViewEntry, say: Words) -> str:
    return f"{len(entry.origins)} {say('features')}"


def _page(name: str, say: Words) -> str:
    return f"/{name}?lang={say.language}"


def _address(view: str, say: Words) -> str:
    return _page(f"features/{quote(view)}", say)
