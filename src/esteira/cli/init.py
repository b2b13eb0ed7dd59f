"""`esteira init`: a new project folder from a template."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from esteira.cli.output import print_json

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="the folder to make")


def run(arguments: Namespace) -> int:
    from esteira.project.templates import lay_down

    made = lay_down(Path(arguments.folder) / arguments.name)
    if arguments.json:
        print_json({"folder": str(made)})
    else:
        print(f"made {made}\nnext: cd {arguments.name} && esteira run --deploy && esteira up")
    return 0
