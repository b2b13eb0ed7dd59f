"""All commits of a table: what each says about itself, and the answers that follow."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from esteira.base.clock import from_micros
from esteira.base.errors import NotFound
from esteira.base.records import TableVersion
from esteira.data.tables.facts import Facts
from esteira.data.tables.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esteira.data.tables.facts import Entry


@dataclass(slots=True)
class Commits:
    """The commits of one table in memory, read once each.

    >>> from esteira.data.tables.facts import Entry
    >>> commits = Commits("flights")
    >>> commits.add(Entry({"esteira": {"rows": 2, "at": 0, "token": "january"}}), count=int)
    >>> commits.holding("january").ref
    'flights@0'
    """

    table: str
    versions: list[TableVersion] = field(default_factory=list)
    layout: Layout = field(init=False)  # of the rows until another tool committed
    superseded: dict[str, int] = field(default_factory=dict)  # our files → when others took their place
    digests: dict[str, str] = field(default_factory=dict)  # of our files
    theirs_from: int | None = None  # the first version that another tool made
    _metadata: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    _by_token: dict[str, int] = field(default_factory=dict)
    _by_file: dict[str, int] = field(default_factory=dict)
    _place: dict[str, int] = field(default_factory=dict)  # file → the version that its first row came with

    def __post_init__(self) -> None:
        self.layout = Layout(self.table)

    @property
    def is_ours(self) -> bool:
        """No other tool has committed, so the rows of every version are in our files."""
        return self.theirs_from is None

    def add(self, entry: Entry, count: Callable[[int], int]) -> None:
        """Take in the next commit; `count(version)` tells the rows where another tool committed."""
        number = len(self.versions)
        if entry.metadata is not None:
            self._metadata.append((number, entry.metadata))
        for file in entry.added:
            self._place.setdefault(file, number)
        facts = Facts.of(entry.info)
        if facts is None:
            if self.theirs_from is None:
                self.theirs_from = number
            rows, at = count(number), int(entry.info.get("timestamp", 0)) * 1000
        else:
            rows, at = facts.rows + (self.versions[-1].rows if self.versions else 0), facts.at
            self._index(facts, number)
        self.versions.append(TableVersion(self.table, number, rows, from_micros(at)))

    def _index(self, facts: Facts, number: int) -> None:
        if facts.token:
            self._by_token[facts.token] = number
        if facts.file:
            self._by_file[facts.file] = number
            self.digests[facts.file] = facts.digest
            if self.is_ours:
                self.layout.add(facts)
        for merge in facts.merges:
            self._by_file[merge.made.file] = number
            self.digests[merge.made.file] = merge.made.digest
            self._place[merge.made.file] = self._place.get(merge.replaced[0], number)
            self.superseded.update(dict.fromkeys(merge.replaced, facts.at))
        if facts.merges:
            self.layout.merge(facts.merges)

    def version(self, number: int | None) -> TableVersion:
        """A version, the newest if not said. Raises: NotFound."""
        if number is None:
            return self.versions[-1]
        if not 0 <= number < len(self.versions):
            raise NotFound("version", f"{self.table}@{number}", f"the newest is {self.versions[-1].ref}")
        return self.versions[number]

    def metadata(self, number: int) -> Mapping[str, Any]:
        """Delta's metadata at a version."""
        until = bisect_right(self._metadata, number, key=itemgetter(0))
        return self._metadata[until - 1][1]

    def holding(self, token: str) -> TableVersion | None:
        """The version that an append with this token made."""
        return self.versions[self._by_token[token]] if token in self._by_token else None

    def added(self, version: TableVersion) -> int:
        """The rows that a version has more than the one before."""
        return version.rows - (self.versions[version.version - 1].rows if version.version else 0)

    def made_by(self, facts: Facts) -> TableVersion | None:
        """The version that a commit of ours made; an append without rows can only have begun the table."""
        number = self._by_file.get(facts.files[0]) if facts.files else 0
        return None if number is None else self.versions[number]

    def is_in_ours(self, number: int) -> bool:
        """Whether the rows of a version are a prefix of our files, whatever others did later."""
        return self.theirs_from is None or number < self.theirs_from

    def order(self, file: str) -> tuple[int, str]:
        """Sorts data files as their first rows were committed; those that no entry names come last."""
        return self._place.get(file, len(self.versions)), file
