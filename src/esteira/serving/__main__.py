"""`python -m esteira.serving --root FOLDER`: the gateway of a project folder, until SIGTERM."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, EsteiraError
from esteira.base.files import writing
from esteira.base.logs import configure_logs
from esteira.base.settings import load_settings
from esteira.serving.address import reserve, shares_ports, url_of
from esteira.serving.lifeline import end_with
from esteira.serving.servers.granian import serve

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve, after one line of JSON with the URL. Exit codes: 0 ended as asked, 1 failed, 2 bad input."""
    parser = argparse.ArgumentParser(prog="python -m esteira.serving", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the folder of esteira.toml")
    parser.add_argument("--port", type=int, help="instead of the one in esteira.toml; 0 takes a free one")
    parser.add_argument("--parent-pid", type=int, help="end when this process is not the parent any more")
    given = parser.parse_args(arguments)
    try:
        run(given.root, given.port, given.parent_pid)
    except EsteiraError as refused:
        print(f"esteira: {refused}", file=sys.stderr)  # noqa: T201 - a door
        return 2 if isinstance(refused, BadInput) else 1
    return 0


def run(root: Path, port: int | None, parent: int | None) -> None:
    """Take the port, say so, and serve. Raises: PortInUse, BadInput, StorageUnwritable, SystemExit."""
    settings = load_settings(root)
    configure_logs(settings.log_level)
    end_with(parent)
    with reserve(settings.gateway.host, settings.gateway.port if port is None else port) as held:
        host, port = held.getsockname()[:2]
        shared = settings.home / "gateway" / str(port)
        with writing(shared):
            shutil.rmtree(shared, ignore_errors=True)  # the counters of an earlier gateway
            shared.mkdir(parents=True)
        print(json.dumps({"url": url_of(host, port), "pid": os.getpid()}), flush=True)  # noqa: T201
        if not shares_ports():
            held.close()
        serve(
            "esteira.serving.worker:open_worker",
            (str(settings.root), str(shared), str(os.getpid())),
            host=host,
            port=port,
            workers=settings.gateway.workers,
        )
        shutil.rmtree(shared, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
