"""Where the rows of a table lie now: its files in the order of its rows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from esteira.base.errors import CorruptArtifact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.data.tables.facts import Facts, Merge


@dataclass(slots=True)
class Layout:
    """The newest files of a table. Tables only grow, so any version is a prefix of these rows.

    >>> from esteira.data.tables.facts import Facts
    >>> layout = Layout("flights")
    >>> for file in ("a", "b", "c"):
    ...     layout.add(Facts(rows=10, at=0, file=file))
    >>> layout.holding(10, 25)
    slice(1, 3, None)
    """

    table: str
    files: list[Facts] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)  # of each file: the position of its first row
    rows: int = 0
    merges: int = 0  # so often did files give way to others that hold the same rows

    def add(self, file: Facts) -> None:
        """Rows that came at the end."""
        self.files.append(file)
        self.starts.append(self.rows)
        self.rows += file.rows

    def merge(self, merges: Sequence[Merge]) -> None:
        """Runs of files that became one file each. Raises: CorruptArtifact."""
        made = {merge.replaced[0]: merge for merge in merges}
        before, at = self.files, 0
        self.files, self.starts, self.rows = [], [], 0
        while at < len(before):
            merge = made.pop(before[at].file, None)
            if merge is None:
                self.add(before[at])
                at += 1
                continue
            run = before[at : at + len(merge.replaced)]
            _refuse_other(self.table, merge, run)
            self.add(merge.made)
            at += len(run)
        for unknown in made.values():
            _refuse_other(self.table, unknown, [])
        self.merges += 1

    def has(self, merges: Sequence[Merge]) -> bool:
        """Whether all that a merge would replace is still here."""
        live = {file.file for file in self.files}
        return all(live.issuperset(merge.replaced) for merge in merges)

    def start(self, file: Facts) -> int:
        """The position of a file's first row."""
        return self.starts[self.files.index(file)]

    def holding(self, first: int, last: int) -> slice:
        """The files with the rows at positions [first, last)."""
        if first >= last:
            return slice(0, 0)
        return slice(bisect_right(self.starts, first) - 1, bisect_left(self.starts, last))


def _refuse_other(table: str, merge: Merge, run: Sequence[Facts]) -> None:
    found = [file.file for file in run]
    if found != [*merge.replaced] or sum(file.rows for file in run) != merge.made.rows:
        what = f"log of table {table}, which says that {merge.made.file} replaces other files,"
        raise CorruptArtifact(what, ", ".join(merge.replaced), ", ".join(found))
