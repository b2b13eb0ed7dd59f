"""What every codec of pipelines keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from esteira.base.digest import digest_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from esteira.pipelines.codecs.port import Codec


class CodecContract:
    """Subclass it, say how to open the codec and which values to try, each with its declared type."""

    values: Sequence[tuple[Any, Any]]

    def open(self) -> Codec:
        raise NotImplementedError

    def equal(self, one: Any, other: Any) -> bool:
        return bool(one == other) and type(one) is type(other)

    @pytest.fixture
    def folders(self, tmp_path: Path) -> tuple[Path, Path]:
        made = tmp_path / "one", tmp_path / "other"
        for each in made:
            each.mkdir()
        return made

    def test_a_value_comes_back_equal(self, tmp_path: Path) -> None:
        for at, (value, declared) in enumerate(self.values):
            folder = tmp_path / str(at)
            folder.mkdir()
            self.open().save(value, folder)
            assert self.equal(self.open().load(folder, declared), value)

    def test_the_settled_value_is_what_a_reader_gets(self, tmp_path: Path) -> None:
        for at, (value, declared) in enumerate(self.values):
            folder = tmp_path / str(at)
            folder.mkdir()
            codec = self.open()
            codec.save(value, folder)
            assert self.equal(codec.settled(value, folder, declared), codec.load(folder, declared))

    def test_equal_values_give_equal_bytes(self, folders: tuple[Path, Path]) -> None:
        value = self.values[0][0]
        for folder in folders:
            self.open().save(value, folder)
        assert digest_folder(folders[0]) == digest_folder(folders[1])
        assert any(folders[0].iterdir())
