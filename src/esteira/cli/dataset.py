"""`esteira dataset`: training sets by name, what they were made of, and whether they can be made again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.cli.acts import add_acts
from esteira.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Mapping

    from esteira.features.manifest import Manifest
    from esteira.project.rebuilding import Comparison
    from esteira.project.station import Station

_ACTS = {
    "list": "every training set that was made",
    "show": "what a training set holds and what it was made of",
    "diff": "what moved from one training set to another",
    "rebuild": "make a training set again from its pinned inputs and compare the content",
}
_REF = "the beginning of its name, a run, the number of a model version, or a manifest file"
_SHOWN = 60  # characters of a value in a table


def configure(parser: ArgumentParser) -> None:
    acts = add_acts(parser, _ACTS)
    for name in ("show", "rebuild"):
        acts[name].add_argument("ref", nargs="?", default="", help=f"{_REF} (default: the newest)")
    acts["diff"].add_argument("before", help=_REF)
    acts["diff"].add_argument("after", nargs="?", default="", help="the same (default: the newest)")


def run(arguments: Namespace) -> int:
    from esteira.project.station import open_station

    return _RUN[arguments.act](open_station(arguments.folder), arguments)


def _list(station: Station, arguments: Namespace) -> int:
    from esteira.project.datasets import manifests

    known = [*reversed(manifests(station))]
    if arguments.json:
        print_json({"datasets": [_summary(each) for each in known]})
        return 0
    rows = (
        (each.digest[:12], f"{each.created_at:%Y-%m-%d %H:%M}", f"{each.content.rows:,}", _refs(each))
        for each in known
    )
    print_table("Training sets", ("name", "created", "rows", "tables"), rows)
    return 0


def _show(station: Station, arguments: Namespace) -> int:
    from esteira.project.datasets import find_manifest

    found = find_manifest(station, arguments.ref)
    if arguments.json:
        print_json(found)
        return 0
    spine = "-" if found.spine is None else f"{found.spine.step}, {found.spine.content.digest[:12]}"
    facts = [
        ("created", f"{found.created_at:%Y-%m-%d %H:%M} UTC by run {found.run_id}"),
        ("content", f"{found.content.rows:,} rows of step {found.step}"),
        ("spine", spine),
        *((f"table {name}", f"version {t.version}, {t.rows:,} rows") for name, t in found.tables.items()),
        *(
            (f"view {name}", f"{view.source}, {'as known then' if view.as_known else 'as it happened'}")
            for name, view in found.views.items()
        ),
        *((f"parameter {name}", value) for name, value in found.parameters.items()),
        *((f"step {name}", f"key {key[:12]}") for name, key in found.keys.items()),
        ("libraries", ", ".join(f"{name} {version}" for name, version in found.libraries.items())),
    ]
    print_table(f"Training set {found.digest[:12]}", ("what", "fact"), facts)
    columns = ((each.name, each.type, each.digest[:12]) for each in found.content.columns)
    print_table("Columns", ("column", "type", "content"), columns)
    console().print(f"walk on with: esteira dataset rebuild {found.digest[:12]}", markup=False)
    return 0


def _diff(station: Station, arguments: Namespace) -> int:
    from esteira.project.datasets import find_manifest
    from esteira.project.rebuilding import compare

    before, after = (find_manifest(station, ref) for ref in (arguments.before, arguments.after))
    found = compare(station, before, after)
    if arguments.json:
        print_json(_plain(found))
    else:
        _print_comparison(f"From {before.digest[:12]} to {after.digest[:12]}", found)
    return 0


def _rebuild(station: Station, arguments: Namespace) -> int:
    from esteira.project.datasets import find_manifest
    from esteira.project.rebuilding import rebuild

    with console(aside=arguments.json).status("running the steps again"):
        found = rebuild(station, find_manifest(station, arguments.ref))
    if arguments.json:
        print_json(_plain(found))
        return 0 if found.equal else 1
    if not found.equal:
        _print_comparison(f"Training set {found.before.digest[:12]}, made again", found)
    verdict = "the content is equal" if found.equal else f"the content differs: {found.cause}"
    compared = f"kept {found.before.digest[:12]}, made again {found.after.digest[:12]}"
    console().print(f"{verdict}\n{compared}", markup=False)
    return 0 if found.equal else 1


_RUN = {"list": _list, "show": _show, "diff": _diff, "rebuild": _rebuild}


def _summary(manifest: Manifest) -> dict[str, object]:
    columns = [each.name for each in manifest.content.columns]
    about = {"rows": manifest.content.rows, "columns": columns, "tables": manifest.tables}
    return {
        "digest": manifest.digest,
        "created_at": manifest.created_at,
        "run_id": manifest.run_id,
        **about,
    }


def _refs(manifest: Manifest) -> str:
    return ", ".join(f"{name}@{table.version}" for name, table in manifest.tables.items())


def _plain(found: Comparison) -> dict[str, object]:
    names = {"before": found.before.digest, "after": found.after.digest}
    values = {column: each._asdict() for column, each in found.values.items()}
    known = {"moved": found.moved, "common_rows": found.common, "values": values, "cause": found.cause}
    return {"equal": found.equal, **names, **known}


def _print_comparison(title: str, found: Comparison) -> None:
    print_table(title, ("what", "before", "after"), _moves(found))
    if found.common is None:
        console().print("the rows of one are not in the artifact store any more", markup=False)
        return
    rows = (
        (name, f"{each.values:,}", _short(each.before), _short(each.after))
        for name, each in found.values.items()
    )
    if found.values:
        title = f"Values that differ in the {found.common:,} rows that both have"
        print_table(title, ("column", "how many", "first before", "first after"), rows)
    else:
        console().print(f"in the {found.common:,} rows that both have no value differs", markup=False)


def _moves(found: Comparison) -> Iterator[tuple[object, ...]]:
    moved = found.moved
    if moved.rows[0] != moved.rows[1]:
        yield "rows", *(f"{rows:,}" for rows in moved.rows)
    for name, tables in moved.tables.items():
        yield f"table {name}", *(each and f"version {each.version}, {each.rows:,} rows" for each in tables)
    kinds: Mapping[str, Mapping[str, tuple[object, object]]] = {
        "column": moved.schema,
        "view": moved.definitions,
        "parameter": moved.parameters,
        "code": moved.code,
        "library": moved.libraries,
    }
    for kind, names in kinds.items():
        for name, pair in names.items():
            yield f"{kind} {name}", *map(_short, pair)
    # The values of each column are only told to differ where they cannot be shown.
    unseen = {f"values of {name}": found.common is None for name in moved.columns}
    whole = {"spine": moved.spine_moved, "order of columns": moved.reordered, **unseen}
    yield from ((what, "", "moved") for what, is_moved in whole.items() if is_moved)


def _short(value: object) -> str | None:
    text = "" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
