"""The counters of the gRPC process among those of the HTTP gateway, so that one /metrics shows both.

The process counts in a folder of its own; a gateway that comes, goes or comes again throws its own folder
away, so the files are linked into it, again and again.
"""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING

from esteira.base.files import writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)


class Counters:
    """The files of this process's counters, and their links in the folders of gateways.

    `folder` is that of all gateways of the project: each has there a folder named by its port.
    Raises: StorageUnwritable.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._gateways, self._name = folder, f"rpc_{port}"
        self.folder = folder / self._name
        self._complained = False
        with writing(folder):
            shutil.rmtree(self.folder, ignore_errors=True)  # the counters of an earlier process
            self.folder.mkdir(parents=True)
        self._forget()

    def follow(self) -> None:
        """Link the counters wherever a gateway serves by now."""
        for gateway in self._served():
            for path in (
                *self.folder.glob("*.values"),
                *self.folder.glob("*.names"),
            ):  # what is found, then what finds it
                try:
                    os.link(path, gateway / f"{self._name}-{path.name}")  # a name of this process alone
                except (FileExistsError, FileNotFoundError):  # it is there; or the gateway has just gone
                    continue
                except OSError as refused:
                    self._complain(gateway, refused)

    def close(self) -> None:
        """Take the counters away: a process that ended has no routes in force."""
        self._forget()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _served(self) -> Iterator[Path]:
        return (path for path in self._gateways.iterdir() if path.name.isdecimal())

    def _forget(self) -> None:
        for gateway in self._served():
            for suffix in (".names", ".values"):  # first what makes the other found
                for path in gateway.glob(f"{self._name}-*{suffix}"):
                    path.unlink(missing_ok=True)

    def _complain(self, gateway: Path, refused: OSError) -> None:
        if not self._complained:
            self._complained = True
            facts = {"folder": str(gateway), "reason": str(refused)}
            log.warning("the counters of gRPC are not in the gateway's /metrics", extra=facts)
