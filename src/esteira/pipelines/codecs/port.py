"""How values of one kind become files and values again, without pickle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.pipelines.annotations import Annotation


STORABLE = "a pyarrow.Table, JSON values, or an object with save(folder) and load(folder)"


class Unstorable(BadInput):
    """A value that no codec can write."""

    def __init__(self, found: str, reason: str = "") -> None:
        super().__init__(f"{found} cannot be stored{f': {reason}' if reason else ''}; return {STORABLE}")
        self.found, self.reason = found, reason


class Codec(Protocol):
    """One kind of value; equal values give equal bytes."""

    def save(self, value: object, folder: Path) -> None:
        """Write the value's files into an existing, empty folder. Raises: Unstorable."""
        ...

    def load(self, folder: Path, declared: Annotation) -> object:
        """Read the value back, in the declared type. Raises: CorruptArtifact."""
        ...

    def settled(self, value: object, folder: Path, declared: Annotation) -> object:
        """The value just saved, as a later reader gets it: a cached run and a fresh one see the same."""
        ...
