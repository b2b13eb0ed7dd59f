from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import CorruptArtifact
from esteira.governance.checkpoint import Checkpoint, Mark

if TYPE_CHECKING:
    from pathlib import Path


def test_a_mark_reads_back_and_is_replaced(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "audit.db.checkpoint")
    assert checkpoint.read() is None
    for mark in (Mark(0, "0" * 64), Mark(7, "ab" * 32)):
        checkpoint.write(mark)
        assert checkpoint.read() == mark


def test_writing_leaves_no_other_file(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "mark").write(Mark(1, "ab"))
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"records":-1,"head":""}', b'{"records":"1","head":""}', b"\xff"]
)
def test_a_file_that_is_no_mark_is_corrupt(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mark"
    path.write_bytes(content)
    with pytest.raises(CorruptArtifact, match="mark"):
        Checkpoint(path).read()
