"""What we write into each commit: rows, file, digest, token, merges; and what is read of any."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEY = "esteira"  # of our facts among the others of a commit
Span = tuple[int, int, int]  # of a column of times: first and last in UTC microseconds, and the nulls


@dataclass(frozen=True, slots=True)
class Facts:
    """What we write into a commit: of an append its file, of a compaction its merges."""

    rows: int  # that it adds; of a merged file, those that it holds
    at: int  # UTC microseconds
    token: str = ""
    file: str = ""  # empty when there are no rows
    digest: str = ""
    size: int = 0  # bytes
    spans: Mapping[str, Span] = field(default_factory=dict)  # of time columns; absent when all is null
    merges: Sequence[Merge] = ()

    @property
    def files(self) -> list[str]:
        """The data files that the commit brings."""
        return [self.file] if self.file else [merge.made.file for merge in self.merges]

    def to_plain(self) -> dict[str, Any]:
        """The facts as the metadata of a commit."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "merges"}
        if self.merges:
            plain["merges"] = [
                {"made": merge.made.to_plain()[KEY], "replaced": [*merge.replaced]} for merge in self.merges
            ]
        return {KEY: plain}

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Facts | None:
        """The facts of a commit; None when another tool committed it."""
        found = info.get(KEY)
        if not isinstance(found, dict):
            return None
        merges = [Merge(cls(**each["made"]), (*each["replaced"],)) for each in found.get("merges", ())]
        return cls(**{**found, "merges": merges})


@dataclass(frozen=True, slots=True)
class Merge:
    """One file in the place of several, with the same rows in the same order."""

    made: Facts
    replaced: Sequence[str]  # files that followed one another


@dataclass(frozen=True, slots=True)
class Entry:
    """What is read of one log entry."""

    info: Mapping[str, Any] = field(default_factory=dict)  # what its tool says of the commit
    metadata: Mapping[str, Any] | None = None  # Delta's, when the commit sets it
    added: Sequence[str] = ()  # data files
