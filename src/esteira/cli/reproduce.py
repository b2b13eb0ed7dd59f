"""`esteira reproduce MODEL`: build a version again and compare the bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("version", type=int, help="the number of a registered version")


def run(arguments: Namespace) -> int:
    from esteira.project.reproduce import reproduce
    from esteira.project.station import open_station

    found = reproduce(open_station(arguments.folder), arguments.version)
    if arguments.json:
        print_json({"equal": found.equal, "reason": found.reason, "result": found})
    else:
        rows = ((step, "equal" if same else "differs") for step, same in found.steps.items())
        print_table(f"Version {found.version}, built again", ("step", "bytes"), rows)
        verdict = "the bytes are equal"
        if not found.equal:
            verdict = f"the bytes differ, first at step {found.differing!r}: {found.reason}"
        compared = f"registered {found.expected[:12]}, rebuilt {found.found[:12]}"
        console().print(f"{verdict}\n{compared}", markup=False)
    return 0 if found.equal else 1
