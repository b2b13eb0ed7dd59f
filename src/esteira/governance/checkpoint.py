"""The mark outside the ledger: a chain alone cannot tell that its tail was cut off or all of it rewritten."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.digest import canonical_json
from esteira.base.errors import CorruptArtifact
from esteira.base.files import write_atomic

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mark:
    """How many records there were, and the digest of the last one."""

    records: int
    head: str


class Checkpoint:
    """One small file, replaced atomically; copy it to another machine and it witnesses what it saw."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Mark | None:
        """The mark, or None when there is no file. Raises: CorruptArtifact."""
        try:
            plain = json.loads(self.path.read_bytes())
            records, head = plain["records"], plain["head"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as broken:
            raise CorruptArtifact(str(self.path), "a checkpoint", str(broken)) from broken
        if type(records) is not int or records < 0 or type(head) is not str:
            raise CorruptArtifact(str(self.path), "a count and a digest", str(plain))
        return Mark(records, head)

    def write(self, mark: Mark) -> None:
        """Replace the mark durably. Raises: StorageUnwritable."""
        write_atomic(self.path, canonical_json({"records": mark.records, "head": mark.head}))
