"""The folder where the processes of one gateway count and vote: made anew with each gateway, gone with it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from esteira.base.files import writing

if TYPE_CHECKING:
    from pathlib import Path

_GONE = ".gone-"


def make_anew(folder: Path) -> None:
    """Make the folder, without what an earlier gateway left in it. Raises: StorageUnwritable."""
    take_away(folder)
    with writing(folder):
        folder.mkdir(parents=True)


def take_away(folder: Path) -> None:
    """Take the folder away, at once: the gRPC process links its counters into whatever stands there.

    Raises: StorageUnwritable.
    """
    with writing(folder):
        if folder.exists():
            folder.rename(folder.with_name(f"{_GONE}{os.urandom(4).hex()}"))
    for gone in folder.parent.glob(f"{_GONE}*"):  # those too that a kill left
        shutil.rmtree(gone, ignore_errors=True)
