"""`esteira convert VERSION --to FORM`: a faster form of a version, once it scores recorded rows alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.cli.output import print_json, print_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from esteira.project.converting import ConvertedVersion


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("version", type=int, help="the number of a registered version")
    parser.add_argument(
        "--to", required=True, metavar="FORM", help="onnx (of sklearn) or lleaves (of lightgbm)"
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=1000,
        metavar="N",
        help="judge on the newest N recorded rows (default: 1000)",
    )
    parser.add_argument(
        "--tolerance", type=float, default=1e-6, metavar="X", help="of a score, absolute (default: 1e-6)"
    )


def run(arguments: Namespace) -> int:
    from esteira.project.converting import convert_version
    from esteira.project.station import open_station
    from esteira.serving.conversions.parity import Limits

    limits = Limits(arguments.tolerance)
    station = open_station(arguments.folder)
    found = convert_version(station, arguments.version, arguments.to, limits, rows=arguments.rows)
    if arguments.json:
        print_json({"converted": found})
    else:
        _show(found)
    return 0


def _show(found: ConvertedVersion) -> None:
    parity, version = found.parity, found.version
    rows = [(what, f"{was} → {now}") for what, (was, now) in found.changed.items()]
    rows += [
        ("rows compared", f"{parity.rows:,}, in a batch and alone"),
        ("greatest difference", f"{parity.greatest:.3g}, {parity.before!r} → {parity.after!r}"),
        ("decided otherwise", f"{parity.changed:,} rows"),
    ]
    print_table(
        f"Version {version.version} of {version.name}, from version {found.source}", ("what", ""), rows
    )
    print(f"it serves nothing yet; put it into production with: esteira deploy {version.version} --canary")
