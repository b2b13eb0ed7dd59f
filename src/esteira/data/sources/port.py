"""Where rows come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class Source(Protocol):
    """Gives named tables, typed and cleaned: times are timestamp[us, UTC], absent values null."""

    def names(self) -> list[str]:
        """The tables it has, sorted."""
        ...

    def read(self, name: str) -> pa.Table:
        """All rows of a table. Raises: UnknownName, CorruptArtifact."""
        ...
