"""`esteira rollback`: return to the champion before this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.cli.output import print_json

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--reason", default="rolled back by hand", help="what the audit ledger keeps")


def run(arguments: Namespace) -> int:
    from esteira.project.rollouts.rolling import roll_back
    from esteira.project.station import open_station

    routes = roll_back(open_station(arguments.folder), arguments.reason)
    if arguments.json:
        print_json({"routes": routes})
    else:
        print(f"{routes.model} serves version {routes.champion.version} again (revision {routes.revision})")
    return 0
