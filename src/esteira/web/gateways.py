"""The gateways of a project that run, as the folders tell that their workers share."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from esteira.serving.address import url_of
from esteira.serving.draining import is_draining
from esteira.serving.live.agreement import living_workers
from esteira.serving.telemetry.readings import GUESTS

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.settings import Settings

_PID = re.compile(r"w(\d+)")


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway of which at least one worker lives."""

    port: int
    url: str
    folder: Path
    since: datetime
    workers: frozenset[int]  # process ids
    is_draining: bool


@dataclass(frozen=True, slots=True)
class Gateways:
    """Those that run, by port, and the ports of folders in which nobody lives: killed, or only starting."""

    running: tuple[RunningGateway, ...] = ()
    silent: tuple[int, ...] = ()

    def chosen(self, *wanted: int | None) -> RunningGateway | None:
        """The first that is wanted and runs, else the first that runs."""
        by_port = {each.port: each for each in self.running}
        known = [by_port[port] for port in wanted if port in by_port]
        return next(iter((*known, *self.running)), None)


def gateways(settings: Settings) -> Gateways:
    """The gateways of a project now. A worker that was killed holds no lock, whatever files it left."""
    running, silent = [], []
    for folder in sorted((settings.home / "gateway").glob("*")):
        if not folder.name.isdecimal():
            continue
        found = _found(settings, folder)
        if found is None:
            silent.append(int(folder.name))
        else:
            running.append(found)
    return Gateways(tuple(sorted(running, key=lambda each: each.port)), tuple(sorted(silent)))


def _found(settings: Settings, folder: Path) -> RunningGateway | None:
    workers = [int(found[1]) for each in living_workers(folder) if (found := _PID.match(each))]
    since = _since(folder)
    if not workers or since is None:
        return None
    port, scheme = int(folder.name), "https" if settings.gateway.tls_cert else "http"
    url = url_of(settings.gateway.host, port, scheme)
    return RunningGateway(port, url, folder, since, frozenset(workers), is_draining(folder))


def _since(folder: Path) -> datetime | None:
    """When a gateway made its folder; None when it has just thrown it away.

    Some of the files are never written again after that, so the oldest tells.
    """
    times = []
    with suppress(FileNotFoundError):
        for each in folder.iterdir():
            with suppress(FileNotFoundError):  # a file that is there for a moment only
                if not each.name.startswith(GUESTS):
                    times.append(each.stat().st_mtime)
    return datetime.fromtimestamp(min(times), UTC) if times else None
