"""What each commit of a table says about itself: rows, file, digest, token; and the answers that follow."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from esteira.base.clock import from_micros
from esteira.base.errors import CorruptArtifact, NotFound
from esteira.base.records import TableVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

KEY = "esteira"  # of our facts among the others of a commit
Span = tuple[int, int, int]  # of a column of times: first and last in UTC microseconds, and the nulls


@dataclass(frozen=True, slots=True)
class Facts:
    """What an append writes into its commit."""

    rows: int
    at: int  # UTC microseconds
    token: str = ""
    file: str = ""  # empty when there are no rows
    digest: str = ""
    spans: Mapping[str, Span] = field(default_factory=dict)  # of time columns; absent when all is null

    def to_plain(self) -> dict[str, Any]:
        """The facts as the metadata of a commit."""
        return {KEY: asdict(self)}

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Facts | None:
        """The facts in a log entry; None when another tool committed it."""
        found = entry.get(KEY)
        return cls(**found) if isinstance(found, dict) else None


@dataclass(slots=True)
class Commits:
    """The commits of one table in memory, read once each.

    >>> commits = Commits("flights")
    >>> commits.extend([{"esteira": {"rows": 2, "at": 0, "token": "january"}}], rows_of=lambda version: 0)
    >>> commits.holding("january").ref
    'flights@0'
    """

    table: str
    versions: list[TableVersion] = field(default_factory=list)
    files: list[Facts] = field(default_factory=list)  # of our appends that brought rows
    is_ours: bool = True  # no other tool has committed, so the rows of a version are our files up to it
    _by_token: dict[str, int] = field(default_factory=dict)
    _by_file: dict[str, int] = field(default_factory=dict)

    def extend(self, entries: Sequence[Mapping[str, Any]], rows_of: Callable[[int], int]) -> None:
        """Take in log entries, oldest first; `rows_of(version)` counts where another tool committed."""
        for entry in entries:
            number = len(self.versions)
            facts = Facts.of(entry)
            if facts is None:
                self.is_ours = False
                rows, at = rows_of(number), int(entry.get("timestamp", 0)) * 1000
            else:
                rows, at = facts.rows + (self.versions[-1].rows if self.versions else 0), facts.at
                self._index(facts, number)
            self.versions.append(TableVersion(self.table, number, rows, from_micros(at)))

    def _index(self, facts: Facts, number: int) -> None:
        if facts.token:
            self._by_token[facts.token] = number
        if facts.file:
            self._by_file[facts.file] = number
            self.files.append(facts)

    def version(self, number: int | None) -> TableVersion:
        """A version, the newest if not said. Raises: NotFound."""
        if number is None:
            return self.versions[-1]
        if not 0 <= number < len(self.versions):
            raise NotFound("version", f"{self.table}@{number}", f"the newest is {self.versions[-1].ref}")
        return self.versions[number]

    def holding(self, token: str) -> TableVersion | None:
        """The version that an append with this token made."""
        return self.versions[self._by_token[token]] if token in self._by_token else None

    def made_by(self, file: str) -> TableVersion | None:
        """The version that brought a data file."""
        return self.versions[self._by_file[file]] if file in self._by_file else None

    def files_until(self, number: int) -> list[Facts]:
        """Our appends up to a version, in their order."""
        until = bisect_right(self.files, number, key=lambda facts: self._by_file[facts.file])
        return self.files[:until]

    def order(self, file: str) -> tuple[int, str]:
        """Sorts data files as they were committed; those of other tools come last."""
        return self._by_file.get(file, len(self.versions)), file

    def expect(self, entries: int, version: int) -> None:
        """The log has given as many new entries as there are new versions. Raises: CorruptArtifact."""
        wanted = version + 1 - len(self.versions)
        if entries != wanted:
            raise CorruptArtifact(f"log of table {self.table}", f"{wanted} new entries", f"{entries}")
