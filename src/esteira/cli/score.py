"""`esteira score SOURCE TARGET`: every row of a table scored by a model version, in chunks, resumable."""

from __future__ import annotations

import json
import re
from argparse import ArgumentTypeError
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from esteira.cli.output import console, print_json

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterator

    from esteira.project.scoring.job import ScoredTable
    from esteira.project.scoring.run import Scoring

_CONDITION = re.compile(r"\s*(\S+?)\s*(==|!=|<=|>=|<|>|\bnot in\b|\bin\b)\s*(.+?)\s*")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")


def configure(parser: ArgumentParser) -> None:
    source = "a table, a version of it such as flights@3, or a Parquet file or folder"
    parser.add_argument("source", metavar="SOURCE", help=source)
    target = "a table that is not there yet, or a folder such as scores.parquet/"
    parser.add_argument("target", metavar="TARGET", help=target)
    parser.add_argument(
        "--version", type=_count, metavar="N", help="of the model (default: the one in production)"
    )
    kept = "columns that the target has beside the score (default: all)"
    parser.add_argument("--keep", type=_names, metavar="A,B", help=kept)
    where = "only such rows, e.g. 'miles > 500', \"origin in ['JFK', 'LGA']\"; may be given again"
    parser.add_argument(
        "--where", type=_condition, action="append", default=[], metavar="CONDITION", help=where
    )
    at = "the time of each row: a model with feature views sees them as they were known then"
    parser.add_argument("--at", default="", metavar="COLUMN", help=at)
    chunk = "rows that are written at once (default: as many as fit 32 MiB, at most 131,072)"
    parser.add_argument("--chunk", type=_count, metavar="ROWS", help=chunk)
    bad = "put rows that cannot be scored into TARGET_quarantine, with the reason (default: refuse)"
    parser.add_argument("--keep-bad", action="store_true", help=bad)


def run(arguments: Namespace) -> int:
    from esteira.project.scoring.job import ScoreWanted, score_table
    from esteira.project.station import open_station

    wanted = ScoreWanted(
        arguments.source,
        arguments.target,
        arguments.version,
        arguments.keep,
        tuple(arguments.where),
        arguments.at,
        arguments.chunk,
        arguments.keep_bad,
    )
    with _progress(as_json=arguments.json) as follow:
        made = score_table(open_station(arguments.folder), wanted, follow)
    if arguments.json:
        print_json(made)
    else:
        _tell(made)
    return 0


def _tell(made: ScoredTable) -> None:
    def say(line: str) -> None:
        console().print(line, markup=False)

    by = f"by version {made.version}, in chunks of {made.chunk:,}"
    say(f"{made.target}: {made.scored:,} rows of {made.source} scored {by}")
    if made.set_aside:
        say(f"{made.quarantine}: {made.set_aside:,} rows that cannot be scored, with the reason")
    rows = made.scored + made.set_aside - made.before
    if made.before and not rows:
        say("all of them were there already; to score newer rows or with another version, name a new target")
    elif made.before:
        say(f"{made.before:,} of them were there already")
    if rows:
        say(f"{rows:,} rows in {made.seconds:.1f} s: {rows / max(made.seconds, 1e-9):,.0f} rows/s")


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Callable[[Scoring], None]]:
    """Rows, rows a second and the time left, where somebody looks."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    screen = console(aside=as_json)
    columns = (BarColumn(), TextColumn("{task.fields[rows]}"), TimeRemainingColumn(compact=True))
    bar = Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
    begun: list[int] = []

    def follow(now: Scoring) -> None:
        if not begun:
            begun.append(now.done)
            bar.add_task("score", total=now.rows, completed=now.reached, rows=f"{now.done:,} rows")
            return
        task = bar.tasks[0]
        speed = (now.done - begun[0]) / max(task.elapsed or 0.0, 1e-3)
        bar.update(task.id, completed=now.reached, rows=f"{now.done:,} rows, {speed:,.0f} rows/s")

    with bar:
        yield follow


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise ArgumentTypeError(f"must be a whole number from 1 on, found {text!r}")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or len(set(names)) < len(names):
        raise ArgumentTypeError(f"must name columns, each once, e.g. id,asked_at, found {text!r}")
    return names


def _condition(text: str) -> tuple[str, str, Any]:
    """A column, an operator and a value.

    >>> _condition("miles >= 500"), _condition("origin in ['JFK','LGA']"), _condition("carrier == UA")
    (('miles', '>=', 500), ('origin', 'in', ['JFK', 'LGA']), ('carrier', '==', 'UA'))
    """
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ArgumentTypeError(f"must be COLUMN OPERATOR VALUE, e.g. 'miles > 500', found {text!r}")
    column, operator, value = found.groups()
    return column, operator, _value(value)


def _value(text: str) -> object:
    """JSON, with either kind of quotes; a time with its zone; else a text. Raises: NaiveTime, BadInput."""
    from esteira.base.clock import parse_time

    if _MOMENT.fullmatch(text):
        return parse_time(text)
    try:
        return json.loads(text if '"' in text else text.replace("'", '"'))
    except ValueError:
        return text
