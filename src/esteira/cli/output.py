"""How verbs speak: JSON for machines, rich tables for people."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from esteira.base.records import to_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

_WHOLE_LINE = 2_000  # characters: what is piped into grep is not wrapped


def print_json(value: object) -> None:
    """One JSON object on standard output."""
    print(json.dumps(to_plain(value), ensure_ascii=False, indent=2, default=str))


def console(*, aside: bool = False) -> Console:
    """Where people read: standard output, or `aside` of what machines read there, standard error.

    Plain text in whole lines when that is no terminal.
    """
    from rich.console import Console

    stream = sys.stderr if aside else sys.stdout
    width = None if stream.isatty() else _WHOLE_LINE
    return Console(highlight=False, soft_wrap=width is not None, width=width, stderr=aside)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table with a title; `-` where there is nothing."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("-" if cell is None or cell == "" else escape(str(cell)) for cell in row))
    console().print(table)
