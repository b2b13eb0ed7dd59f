"""Which data files may go: those that others have replaced, and those that no commit ever named."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from esteira.base.files import writing
from esteira.data.tables.log import LOG
from esteira.data.tables.port import Vacuumed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esteira.data.tables.commits import Commits

_OURS = "part-????????-????-????-????-????????????.parquet"
# A file that no commit names may be of a commit that is still being made; none takes a day.
_UNFINISHED = timedelta(days=1)


def removable(folder: Path, commits: Commits, now: int, older_than: timedelta) -> Iterator[Path]:
    """Files that the newest layout does not need and that are old enough.

    Superseded files age since the commit that replaced them, by the clock that dated it (`now`, in UTC
    microseconds); files of a writer who was killed since they were written, by the disk's clock, and a day
    at least.
    """
    live = {facts.file for facts in commits.layout.files}
    until = now - older_than // timedelta(microseconds=1)
    written_until = _disk_time(folder) - max(older_than, _UNFINISHED).total_seconds()
    for path in sorted(folder.glob(_OURS)):
        replaced = commits.superseded.get(path.name)
        if path.name not in live and (
            _written(path) <= written_until if replaced is None else replaced <= until
        ):
            yield path


def _disk_time(folder: Path) -> float:
    """The time by which the disk dates files."""
    place = folder / LOG
    os.utime(place)
    return place.stat().st_mtime


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # its writer gave up, or another vacuum was first
        return float("inf")


def remove(paths: Iterator[Path]) -> Vacuumed:
    """Delete files; those that are gone already do not count. Raises: StorageUnwritable."""
    files, size = 0, 0
    for path in paths:
        with writing(path):
            try:
                freed = path.stat().st_size
                path.unlink()
            except FileNotFoundError:
                continue
        files, size = files + 1, size + freed
    return Vacuumed(files, size)
