"""The join over shards of keys, each in a process of its own: the same kernel, the same answers.

No key's answer depends on another key, so questions and rows are parted by key and joined apart. A shard is
a folder with two Arrow files that a fresh Python process reads and a third that it writes: what runs here as
a process can run elsewhere as a task.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from esteira.base.errors import BadInput, EsteiraError
from esteira.base.files import writing
from esteira.features.engines.shard import ANSWERS, QUESTIONS, ROWS, read_arrow, write_arrow

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST = 256


class ShardFailed(EsteiraError):
    """A shard's process ended without an answer."""

    def __init__(self, shard: int, reason: str) -> None:
        super().__init__(f"shard {shard} of the join ended without an answer: {reason[-500:]}; join it again")
        self.shard, self.reason = shard, reason


class ShardedEngine:
    """`shards:N`, or `shards:N/ENGINE` for another kernel than `numpy:` in each of the N processes.

    Raises: BadInput.
    >>> ShardedEngine("shards:4/duckdb").kernel
    'duckdb:'
    """

    threads = 1

    def __init__(self, url: str) -> None:
        count, _, kernel = url.partition(":")[2].partition("/")
        if not count.isdecimal() or not 1 <= int(count) <= _MOST:
            raise BadInput(f"{url!r} must name 1 to {_MOST} shards, e.g. shards:4")
        self.url, self.kernel, self._count = url, f"{kernel or 'numpy'}:", int(count)

    def last_available(self, spine: pa.Table, rows: pa.Table) -> pa.Array:
        """See `JoinEngine.last_available`. Raises: StorageUnwritable, ShardFailed."""
        place = Path(tempfile.gettempdir())
        with writing(place), tempfile.TemporaryDirectory(prefix="esteira-join-") as folder:
            asked = self._parted(spine, Path(folder), QUESTIONS)
            known = self._parted(rows, Path(folder), ROWS)
            answers = np.full(spine.num_rows, -1, np.int64)
            for shard, found in enumerate(self._join(Path(folder))):
                has = np.flatnonzero(found >= 0)
                answers[asked[shard][has]] = known[shard][found[has]]
        return pa.array(answers, mask=answers < 0)

    def _parted(self, side: pa.Table, folder: Path, name: str) -> list[NDArray[np.int64]]:
        """Write each shard's part; returns the positions of its rows in the whole."""
        shards = side.column("key").to_numpy() % self._count
        places = [np.flatnonzero(shards == shard) for shard in range(self._count)]
        for shard, mine in enumerate(places):
            (folder / str(shard)).mkdir(exist_ok=True)
            write_arrow(side.take(mine), folder / str(shard) / name)
        return places

    def _join(self, folder: Path) -> list[NDArray[np.int64]]:
        worker = [sys.executable, "-m", "esteira.features.engines.shard", self.kernel]
        running = [
            subprocess.Popen(
                [*worker, str(folder / str(shard))], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            for shard in range(self._count)
        ]
        said = [process.communicate()[1].decode(errors="replace") for process in running]
        for shard, process in enumerate(running):
            if process.returncode:
                raise ShardFailed(shard, said[shard].strip() or f"exit code {process.returncode}")
        found = (read_arrow(folder / str(shard) / ANSWERS) for shard in range(self._count))
        return [table.column(0).fill_null(-1).to_numpy() for table in found]
