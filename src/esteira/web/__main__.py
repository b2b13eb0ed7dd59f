"""`python -m esteira.web --root FOLDER`: the pages of a project folder, until SIGTERM."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from esteira.base.optional import load
from esteira.serving.door import listening, main

if TYPE_CHECKING:
    from esteira.base.settings import Settings


def run(settings: Settings, port: int | None) -> None:
    """Take the port, say so, and serve. Raises: MissingExtra, PortInUse, BadInput, SystemExit."""
    serve = load("esteira.serving.servers.granian:serve")
    with listening(settings.web.host, settings.web.port if port is None else port) as (host, taken):
        target = "esteira.web.app:application"
        serve(target, (str(settings.root),), host=host, port=taken, interface="asgi")


if __name__ == "__main__":
    sys.exit(main("esteira.web", __doc__, run))
