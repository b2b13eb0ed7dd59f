"""What each commit of a table says about itself: rows, file, digest, token; and the answers that follow."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from esteira.base.clock import from_micros
from esteira.base.errors import NotFound
from esteira.base.records import TableVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    size: int = 0  # bytes
    spans: Mapping[str, Span] = field(default_factory=dict)  # of time columns; absent when all is null

    def to_plain(self) -> dict[str, Any]:
        """The facts as the metadata of a commit."""
        return {KEY: {name: getattr(self, name) for name in self.__slots__}}

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Facts | None:
        """The facts of a commit; None when another tool committed it."""
        found = info.get(KEY)
        return cls(**found) if isinstance(found, dict) else None


@dataclass(slots=True)
class Commits:
    """The commits of one table in memory, read once each.

    >>> commits = Commits("flights")
    >>> commits.add({"esteira": {"rows": 2, "at": 0, "token": "january"}}, count=int)
    >>> commits.holding("january").ref
    'flights@0'
    """

    table: str
    versions: list[TableVersion] = field(default_factory=list)
    files: list[Facts] = field(default_factory=list)  # of our appends that brought rows
    is_ours: bool = True  # no other tool has committed, so the rows of a version are our files up to it
    _by_token: dict[str, int] = field(default_factory=dict)
    _by_file: dict[str, int] = field(default_factory=dict)

    def add(self, info: Mapping[str, Any], count: Callable[[int], int]) -> None:
        """Take in the next commit; `count(version)` tells the rows where another tool committed."""
        number = len(self.versions)
        facts = Facts.of(info)
        if facts is None:
            self.is_ours = False
            rows, at = count(number), int(info.get("timestamp", 0)) * 1000
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

    def added(self, version: TableVersion) -> int:
        """The rows that a version has more than the one before."""
        return version.rows - (self.versions[version.version - 1].rows if version.version else 0)

    def made_by(self, facts: Facts) -> TableVersion | None:
        """The version that an append made; one without rows can only have begun the table."""
        number = self._by_file.get(facts.file) if facts.file else 0
        return None if number is None else self.versions[number]

    def files_until(self, number: int) -> list[Facts]:
        """Our appends up to a version, in their order."""
        until = bisect_right(self.files, number, key=lambda facts: self._by_file[facts.file])
        return self.files[:until]

    def order(self, file: str) -> tuple[int, str]:
        """Sorts data files as they were committed; those of other tools come last."""
        return self._by_file.get(file, len(self.versions)), file
