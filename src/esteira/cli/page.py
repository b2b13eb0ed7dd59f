"""The pages in a process of their own: started by name, for a door does not import its neighbour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.settings import load_settings
from esteira.serving.process import Door, ServerProcess

if TYPE_CHECKING:
    from pathlib import Path


def page(root: Path, *, port: int | None = None) -> ServerProcess:
    """The site of a project folder, not started yet; its log is `.esteira/web.log`.

    Raises: NotFound, BadInput.
    """
    settings = load_settings(root)
    web = settings.web
    log = settings.home / "web.log"
    listening = web.port if port is None else port
    return ServerProcess(Door("esteira.web", "the site", web.host, listening, "/healthz", settings.root, log))
