"""`esteira import PATH`: a model made elsewhere becomes a registered version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from esteira.cli.output import print_json

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "path", type=Path, help="a file .onnx, .txt, .json, .ubj or .skops, or an MLflow model folder"
    )
    parser.add_argument(
        "--as",
        dest="runtime",
        default="",
        metavar="RUNTIME",
        help="lightgbm, onnx, pyfunc, sklearn or xgboost (default: what fits best, pyfunc last)",
    )
    parser.add_argument("--like", type=int, metavar="VERSION", help="it asks for what this version asks for")
    parser.add_argument("--columns", type=Path, metavar="FILE", help="a JSON list of its columns")
    parser.add_argument("--target", default="", metavar="NAME", help="what it predicts, as labels name it")
    parser.add_argument("--reason", default="", help="what the audit ledger keeps")


def run(arguments: Namespace) -> int:
    from esteira.project.importing import Wish, import_model
    from esteira.project.station import open_station

    wish = Wish(arguments.runtime, arguments.like, arguments.columns, arguments.target, arguments.reason)
    found = import_model(open_station(arguments.folder), arguments.path, wish)
    if arguments.json:
        print_json({"imported": found})
        return 0
    version, what = found.version, "tensors" if found.is_tensors else "columns"
    print(f"version {version.version} of {version.name}: {found.runtime}, {what} {', '.join(found.inputs)}")
    print(f"no gate has judged it; put it into production with: esteira deploy {version.version} --canary")
    return 0
