"""`esteira deploy VERSION`: into production by hand, with the same records as the ring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.cli.output import print_json

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("version", type=int, help="the number of a registered version")
    parser.add_argument(
        "--canary", action="store_true", help="begin the project's rollout instead of all at once"
    )
    parser.add_argument("--reason", default="deployed by hand", help="what the audit ledger keeps")


def run(arguments: Namespace) -> int:
    from esteira.project.release import deploy
    from esteira.project.rollouts.rolling import start_rollout
    from esteira.project.station import open_station

    station = open_station(arguments.folder)
    act = start_rollout if arguments.canary else deploy
    routes = act(station, arguments.version, arguments.reason)
    if arguments.json:
        print_json({"routes": routes})
    else:
        split = ", ".join(f"version {arm.version} {arm.share:.0%}" for arm in routes.arms)
        print(f"{routes.model} serves {split} (revision {routes.revision})")
    return 0
