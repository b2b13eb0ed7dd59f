"""`esteira features`: what views there are, where they come from, how they stand, and whether they hold."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from esteira.cli import proofs
from esteira.cli.acts import add_acts
from esteira.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable

    from esteira.features.statistics import FeatureStatistics
    from esteira.project.catalog import ViewEntry
    from esteira.project.distributions import ViewStatistics
    from esteira.project.station import Station

_ACTS = {
    "list": "every feature view of the project",
    "show": "one view: lineage, freshness, statistics and users",
    "search": "the views that a text is found in",
    "materialize": "bring the online store to what the tables know",
    "verify": "prove that online equals offline",
    "leaks": "look for features that know the future",
}


_MOST_SEED = 2**32 - 1  # what every generator of random numbers takes


def configure(parser: ArgumentParser) -> None:
    acts = add_acts(parser, _ACTS)
    acts["show"].add_argument("view", help="the name of a view")
    acts["search"].add_argument("text", nargs="+", help="words; a view is found when it has all of them")
    acts["materialize"].add_argument("views", nargs="*", metavar="VIEW", help="names (default: all views)")
    acts["materialize"].add_argument("--until", metavar="TIME", help="what was known by then (default: now)")
    acts["materialize"].add_argument(
        "--backfill", action="store_true", help="read every row of the source again, not only the new ones"
    )
    sample, cutoffs = "keys of each view, and predictions", "moments at which futures part"
    acts["verify"].add_argument("--sample", type=_positive, default=1000, metavar="N", help=sample)
    acts["leaks"].add_argument("--cutoffs", type=_positive, default=5, metavar="N", help=cutoffs)
    for name in ("verify", "leaks"):
        chance = "of what is left to chance (default: 7)"
        acts[name].add_argument("--seed", type=_seed, default=7, metavar="N", help=chance)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"must be a whole number from 1 on, found {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) > _MOST_SEED:
        raise ArgumentTypeError(f"must be a whole number from 0 to {_MOST_SEED}, found {text!r}")
    return int(text)


def run(arguments: Namespace) -> int:
    from esteira.project.station import open_station

    return _RUN[arguments.act](open_station(arguments.folder), arguments)


def _list(station: Station, arguments: Namespace) -> int:
    from esteira.project.catalog import catalog

    return _listed("Feature views", catalog(station), as_json=arguments.json)


def _search(station: Station, arguments: Namespace) -> int:
    from esteira.project.catalog import search

    text = " ".join(arguments.text)
    return _listed(f"Feature views with {text!r}", search(station, text), as_json=arguments.json)


def _listed(title: str, found: Iterable[ViewEntry], *, as_json: bool) -> int:
    if as_json:
        print_json({"views": list(found)})
        return 0
    rows = (
        (
            each.name,
            ", ".join(each.keys),
            len(each.origins),
            each.source if each.newest is None else each.newest.ref,
            each.online.status,
            ", ".join(f"v{number}" for number in each.models[:5]),
            each.description,
        )
        for each in found
    )
    print_table(title, ("view", "keys", "features", "source", "online", "models", "about"), rows)
    return 0


def _show(station: Station, arguments: Namespace) -> int:
    from esteira.project.catalog import entry_of, find_view
    from esteira.project.distributions import statistics

    view = find_view(station, arguments.view)
    entry, told = entry_of(station, view), statistics(station, view)
    if arguments.json:
        print_json({"view": entry, "statistics": told})
        return 0
    print_table(f"View {entry.name}", ("what", "fact"), _facts(entry, told))
    lineage = [(each.feature, each.path) for each in entry.origins]
    lineage += [(name, f"on demand of {', '.join(inputs)}") for name, inputs in entry.on_demand.items()]
    print_table("Lineage", ("feature", "comes from"), lineage)
    if told is None:
        console().print("no rows yet; fill its source with: esteira run", markup=False)
    else:
        columns = (
            "feature",
            "type",
            "null",
            "distinct",
            "mean",
            "std",
            "least",
            "median",
            "greatest",
            "often",
        )
        print_table(f"Over {told.rows:,} rows", columns, map(_described, told.features))
    return 0


def _facts(entry: ViewEntry, told: ViewStatistics | None) -> list[tuple[str, object]]:
    source = entry.source if entry.newest is None else f"{entry.newest.ref}, {entry.newest.rows:,} rows"
    facts: list[tuple[str, object]] = [
        ("about", entry.description),
        ("keys", ", ".join(entry.keys)),
        ("source", source),
        ("event time", entry.event_time),
        ("created time", entry.created_time),
        ("holds for", entry.ttl or "ever"),
        ("window", entry.window),
        ("steps", ", ".join(entry.steps)),
        ("models", ", ".join(f"v{number}" for number in entry.models)),
        ("online", _online(entry)),
    ]
    if told is not None:
        moments = (("newest event", told.newest_event), ("newest known", told.newest_known))
        facts += [(name, f"{at:%Y-%m-%d %H:%M:%S} UTC") for name, at in moments if at is not None]
    return facts


def _online(entry: ViewEntry) -> str:
    stored = entry.online
    if stored.until is None:
        return stored.status
    return f"{stored.status}: {entry.source}@{stored.version} until {stored.until:%Y-%m-%d %H:%M:%S} UTC"


def _described(each: FeatureStatistics) -> tuple[object, ...]:
    numbers = (each.mean, each.std, each.low, each.quantiles[2] if each.quantiles else None, each.high)
    told = (None if number is None else f"{number:.4g}" for number in numbers)
    often = ", ".join(f"{value} {count:,}" for value, count in each.top[:3])
    return (each.feature, each.type, f"{each.null_share:.1%}", f"{each.distinct:,}", *told, often)


def _materialize(station: Station, arguments: Namespace) -> int:
    from esteira.base.clock import parse_time
    from esteira.project.materializing import materialize_all

    until = parse_time(arguments.until, "--until") if arguments.until else None
    with console(aside=arguments.json).status("reading the tables") as status:

        def follow(view: str, done: int, rows: int) -> None:
            status.update(f"{view}: {done:,} of {rows:,} rows")

        made = materialize_all(
            station, names=arguments.views, until=until, backfill=arguments.backfill, on_progress=follow
        )
    if arguments.json:
        print_json({"views": list(made)})
        return 0
    rows = (
        (
            each.view,
            f"{each.rows:,}",
            "not there yet" if each.source is None else each.source.ref,
            f"{each.until:%Y-%m-%d %H:%M:%S} UTC",
            "nothing to do: it had been passed before" if each.is_behind else "",
        )
        for each in made
    )
    print_table("Materialized", ("view", "new rows", "source", "known by", ""), rows)
    return 0


_RUN = {
    "list": _list,
    "show": _show,
    "search": _search,
    "materialize": _materialize,
    "verify": proofs.verify,
    "leaks": proofs.leaks,
}
