"""`python -m esteira.serving --root FOLDER`: the gateway of a project folder, until SIGTERM."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from esteira.base.files import writing
from esteira.base.optional import load
from esteira.serving.door import listening, main

if TYPE_CHECKING:
    from esteira.base.settings import Settings


def run(settings: Settings, port: int | None) -> None:
    """Take the port, say so, and serve.

    Raises: MissingExtra, PortInUse, BadInput, StorageUnwritable, SystemExit.
    """
    serve = load("esteira.serving.servers.granian:serve")
    gateway = settings.gateway
    with listening(gateway.host, gateway.port if port is None else port) as (host, taken):
        shared = settings.home / "gateway" / str(taken)
        with writing(shared):
            shutil.rmtree(shared, ignore_errors=True)  # the counters of an earlier gateway
            shared.mkdir(parents=True)
        serve(
            "esteira.serving.worker:open_worker",
            (str(settings.root), str(shared), str(os.getpid())),
            host=host,
            port=taken,
            workers=gateway.workers,
        )
        shutil.rmtree(shared, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main("esteira.serving", __doc__, run))
