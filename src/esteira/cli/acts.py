"""Verbs with acts of their own, such as `esteira dataset show`."""

from __future__ import annotations

from argparse import SUPPRESS
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Mapping


def add_acts(parser: ArgumentParser, acts: Mapping[str, str]) -> dict[str, ArgumentParser]:
    """Give a verb its acts, name → one line; returns their parsers. The chosen one is `arguments.act`.

    `--json` and `--folder` may stand before the act or after it.
    """
    children = parser.add_subparsers(dest="act", metavar="ACT", required=True)
    made = {}
    for name, line in acts.items():
        child = children.add_parser(name, help=line, description=f"{line[0].upper()}{line[1:]}.")
        child.add_argument(
            "--json", action="store_true", default=SUPPRESS, help="print one JSON object for machines"
        )
        child.add_argument("-C", "--folder", default=SUPPRESS, help="the project folder (default: here)")
        made[name] = child
    return made
