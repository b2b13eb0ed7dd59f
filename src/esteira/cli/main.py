"""Parse the command line, call one verb, turn errors into one line and an exit code.

Exit codes: 0 done, 1 a check or a gate failed, 2 bad input or usage.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from esteira import __version__
from esteira.base.errors import BadInput, EsteiraError, MissingExtra, UnknownName
from esteira.base.optional import load

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE, FAILED, BAD = 0, 1, 2

# verb → (module with `configure(parser)` and `run(arguments) -> int`, one line, an example)
VERBS = {
    "demo": ("demo", "the ring on real data, from an empty folder to a retrained model", "esteira demo"),
    "init": ("init", "make a new project folder", "esteira init flights"),
    "run": (
        "run",
        "ingest what is new and run the pipeline, cached and resumable",
        "esteira run --set days=60",
    ),
    "up": ("up", "serve the gateway, the monitors and the pages", "esteira up"),
    "status": ("status", "what serves, what alarms, what runs", "esteira status --json"),
    "deploy": ("deploy", "put a model version into production", "esteira deploy 3 --canary"),
    "rollout": (
        "rollout",
        "begin, watch, hold and end the rollout of a version",
        "esteira rollout start 3 --strategy shadow",
    ),
    "rollback": (
        "rollback",
        "return to the champion before this one",
        "esteira rollback --reason 'bad scores'",
    ),
    "keys": (
        "keys",
        "who may ask the gateway: make, list and revoke API keys",
        "esteira keys add shop --role predict",
    ),
    "trace": ("trace", "walk a prediction back to its data", "esteira trace 20130715-UA-1545-EWR-0515"),
    "reproduce": ("reproduce", "build a model version again and compare the bytes", "esteira reproduce 2"),
    "import": (
        "import_",
        "register a model made elsewhere: a native file or an MLflow model folder",
        "esteira import model.txt --like 2",
    ),
    "convert": (
        "convert",
        "make a faster form of a version, once it scores recorded rows alike",
        "esteira convert 2 --to onnx",
    ),
    "score": (
        "score",
        "score a whole table with a model version, in chunks, resumable",
        "esteira score flights flight_scores --version 2",
    ),
    "stream": (
        "stream",
        "score the messages of a stream into a table",
        "esteira stream file:inbox scores",
    ),
    "dataset": ("dataset", "training sets: what they are made of, made again", "esteira dataset show"),
    "features": ("features", "feature views: catalog, online state and proofs", "esteira features list"),
    "tables": ("tables", "tables: versions, schema and upkeep", "esteira tables list"),
    "bench": ("bench", "measure a model of yours under load", "esteira bench serving --concurrency 1,16"),
    "verify": ("verify", "check the audit chain, the stores and every digest", "esteira verify"),
}


class _Parser(argparse.ArgumentParser):
    """Tells the mend with the usage error, and exits with 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD, f"esteira: {message}\nsee: {self.prog} --help\n")


# Kernels that wait by spinning take the core from the gateway beside them, and gain nothing on two cores.
_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    for name, value in _THREADS.items():
        os.environ.setdefault(name, value)  # before any numerical library is loaded
    words = sys.argv[1:] if arguments is None else list(arguments)
    verb = next((word for word in words if not word.startswith("-")), None)
    parser = _parser(verb)
    try:
        if words and verb == words[0] and verb not in VERBS:
            raise UnknownName("verb", verb, VERBS)
        chosen = parser.parse_args(words)
        if chosen.verb is None:
            parser.print_help()
            return BAD
        code = int(load(f"esteira.cli.{VERBS[chosen.verb][0]}:run")(chosen))
        sys.stdout.flush()  # a reader that has left is found here, not while Python ends
        return code
    except SystemExit as usage:
        return int(usage.code or 0)
    except EsteiraError as known:
        print(f"esteira: {known}", file=sys.stderr)
        return BAD if isinstance(known, BadInput) or isinstance(known.__cause__, MissingExtra) else FAILED
    except KeyboardInterrupt:
        print("esteira: interrupted; the same command resumes", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _parser(verb: str | None) -> argparse.ArgumentParser:
    """The parser; only the verb that was asked for configures its options."""
    parser = _Parser(
        prog="esteira",
        description="A whole MLOps platform that starts on a laptop with one command.",
        epilog="example: esteira demo",
    )
    parser.add_argument("--version", action="version", version=f"esteira {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    for name, (module, line, example) in VERBS.items():
        child = verbs.add_parser(
            name, help=line, description=f"{line[0].upper()}{line[1:]}.", epilog=f"example: {example}"
        )
        if name == verb:
            child.add_argument("--json", action="store_true", help="print one JSON object for machines")
            child.add_argument("-C", "--folder", default=".", help="the project folder (default: here)")
            load(f"esteira.cli.{module}:configure")(child)
    return parser
