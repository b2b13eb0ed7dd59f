"""`esteira tables`: what lies on the disk, and the upkeep of it by hand."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from esteira.base.clock import span_of
from esteira.base.errors import BadInput
from esteira.cli.acts import add_acts
from esteira.cli.output import print_json, print_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

    from esteira.data.tables.port import Described
    from esteira.project.station import Station

_ACTS = {
    "list": "every table with its newest version",
    "show": "a table with its columns and versions",
    "compact": "make few large files of many small ones; every version stays readable",
    "vacuum": "delete files that no version needs any more",
}
_BY_HAND = "by hand"
_SHOWN = 20  # versions in a table for people
_MEGABYTE = 1024 * 1024


def configure(parser: ArgumentParser) -> None:
    acts = add_acts(parser, _ACTS)
    acts["show"].add_argument("name", metavar="NAME", help="a table")
    for act in ("compact", "vacuum"):
        acts[act].add_argument("names", metavar="NAME", nargs="*", help="tables (default: all of esteira's)")
    acts["compact"].add_argument(
        "--target-mb", type=_megabytes, default=128, metavar="MB", help="size of a large file (default: 128)"
    )
    acts["vacuum"].add_argument(
        "--older-than",
        type=_span,
        default=timedelta(days=7),
        metavar="SPAN",
        help="since the files were superseded, e.g. 7d, 12h or 30m (default: 7d)",
    )


def run(arguments: Namespace) -> int:
    from esteira.project.station import open_station

    found = _RUN[arguments.act](open_station(arguments.folder), arguments)
    if arguments.json:
        print_json(found)
    else:
        _PRINT[arguments.act](found)
    return 0


def _list(station: Station, arguments: Namespace) -> dict[str, Any]:
    del arguments
    return {"tables": [_summary(station.tables.describe(name)) for name in station.tables.names()]}


def _show(station: Station, arguments: Namespace) -> dict[str, Any]:
    found = station.tables.describe(arguments.name)
    columns = {field.name: str(field.type) for field in found.schema}
    return _summary(found) | {"schema": columns, "versions": station.tables.history(arguments.name)}


def _compact(station: Station, arguments: Namespace) -> dict[str, Any]:
    from esteira.project.upkeep import compact

    done = []
    for name in _chosen(station, arguments.names):
        before = station.tables.describe(name)
        made = compact(station, name, reason=_BY_HAND, target_bytes=arguments.target_mb * _MEGABYTE)
        after = station.tables.describe(name)
        done.append(
            {"table": name, "version": made and made.version, "files": after.files, "before": before.files}
        )
    return {"compacted": done}


def _vacuum(station: Station, arguments: Namespace) -> dict[str, Any]:
    from esteira.project.upkeep import vacuum

    done = []
    for name in _chosen(station, arguments.names):
        freed = vacuum(station, name, reason=_BY_HAND, older_than=arguments.older_than)
        done.append({"table": name, "files": freed.files, "bytes": freed.size})
    return {"vacuumed": done}


def _chosen(station: Station, names: Sequence[str]) -> Sequence[str]:
    """The tables asked for; else all but those where another tool commits, which must tidy them itself."""
    return names or [name for name in station.tables.names() if station.tables.describe(name).is_ours]


def _summary(found: Described) -> dict[str, Any]:
    version = found.version
    return {
        "table": version.table,
        "version": version.version,
        "rows": version.rows,
        "committed_at": version.committed_at,
        "files": found.files,
        "bytes": found.size,
        "is_ours": found.is_ours,
    }


def _print_list(found: dict[str, Any]) -> None:
    rows = (
        (
            each["table"],
            each["version"],
            f"{each['rows']:,}",
            f"{each['files']:,}",
            f"{each['bytes']:,}",
            f"{each['committed_at']:%Y-%m-%d %H:%M}",
        )
        for each in found["tables"]
    )
    print_table("Tables", ("table", "version", "rows", "files", "bytes", "committed"), rows)


def _print_show(found: dict[str, Any]) -> None:
    _print_list({"tables": [found]})
    print_table("Columns", ("column", "type"), found["schema"].items())
    newest = found["versions"][::-1][:_SHOWN]
    rows = ((each.version, f"{each.rows:,}", f"{each.committed_at:%Y-%m-%d %H:%M}") for each in newest)
    print_table(f"Versions, the newest of {len(found['versions']):,}", ("version", "rows", "committed"), rows)


def _print_compacted(found: dict[str, Any]) -> None:
    rows = (
        (each["table"], f"{each['before']:,}", f"{each['files']:,}", each["version"])
        for each in found["compacted"]
    )
    print_table("Compacted", ("table", "files before", "files", "new version"), rows)


def _print_vacuumed(found: dict[str, Any]) -> None:
    rows = ((each["table"], f"{each['files']:,}", f"{each['bytes']:,}") for each in found["vacuumed"])
    print_table("Deleted", ("table", "files", "bytes"), rows)


def _span(text: str) -> timedelta:
    try:
        return span_of(text)
    except BadInput as wrong:
        raise ArgumentTypeError(str(wrong)) from wrong


def _megabytes(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"{text!r} is no size; write whole megabytes, e.g. 128")
    return int(text)


_RUN = {"list": _list, "show": _show, "compact": _compact, "vacuum": _vacuum}
_PRINT = {
    "list": _print_list,
    "show": _print_show,
    "compact": _print_compacted,
    "vacuum": _print_vacuumed,
}
