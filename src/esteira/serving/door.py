"""A process that serves a project folder: its command line, its port, its end."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, EsteiraError
from esteira.base.logs import configure_logs
from esteira.base.settings import load_settings
from esteira.serving.address import reserve, shares_ports, url_of
from esteira.serving.lifeline import end_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


def main(
    module: str,
    description: str | None,
    run: Callable[..., None],
    arguments: Sequence[str] | None = None,
    *,
    options: Mapping[str, str] | None = None,
) -> int:
    """Serve until SIGTERM, as the command line says. Exit codes: 0 ended as asked, 1 failed, 2 bad input.

    `run` takes settings and port, and by name what a door's own options say; `options` is name → help.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--root", type=Path, required=True, help="the folder of esteira.toml")
    parser.add_argument("--port", type=int, help="instead of the one in esteira.toml; 0 takes a free one")
    parser.add_argument("--parent-pid", type=int, help="end when this process is not the parent any more")
    for name, line in (options or {}).items():
        parser.add_argument(f"--{name}", default="", help=line)
    given = parser.parse_args(arguments)
    try:
        settings = load_settings(given.root)
        configure_logs(settings.log_level)
        end_with(given.parent_pid)
        run(settings, given.port, **{name: getattr(given, name) for name in options or {}})
    except EsteiraError as refused:
        print(f"esteira: {refused}", file=sys.stderr)  # noqa: T201 - a door
        return 2 if isinstance(refused, BadInput) else 1
    return 0


@contextmanager
def listening(host: str, port: int, scheme: str = "http") -> Iterator[tuple[str, int]]:
    """Take a port for the servers that follow, and say its URL as one line of JSON on standard output.

    Raises: PortInUse, BadInput.
    """
    with reserve(host, port) as held:
        host, port = held.getsockname()[:2]
        print(json.dumps({"url": url_of(host, port, scheme), "pid": os.getpid()}), flush=True)  # noqa: T201 - a door
        if not shares_ports():
            held.close()
        yield host, port
