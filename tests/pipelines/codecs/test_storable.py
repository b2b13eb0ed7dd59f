"""Objects that know their own files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from tests.contracts.codec import CodecContract

from esteira.pipelines.codecs.port import Unstorable
from esteira.pipelines.codecs.storable import LostClass, StorableCodec, class_name, is_storable_class


@dataclass
class Note:
    text: str

    def save(self, folder: Path) -> None:
        (folder / "note.txt").write_text(self.text, encoding="utf-8")
        (folder / "parts").mkdir()
        (folder / "parts" / "size.txt").write_text(str(len(self.text)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls((folder / "note.txt").read_text(encoding="utf-8"))


class Outer:
    class Inner(Note):
        pass


class Silent:
    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls()


class TestStorableCodec(CodecContract):
    values = ((Note("late"), Note), (Note("late"), object), (Note(""), Any))

    def open(self) -> StorableCodec:
        return StorableCodec(f"storable:{class_name(Note)}")

    def test_a_class_inside_a_class_is_found(self, tmp_path: Path) -> None:
        codec = StorableCodec(f"storable:{class_name(Outer.Inner)}")
        codec.save(Outer.Inner("late"), tmp_path)
        assert type(codec.load(tmp_path, object)) is Outer.Inner

    def test_the_stored_class_holds_when_the_declared_one_is_wider(self, tmp_path: Path) -> None:
        codec = StorableCodec(f"storable:{class_name(Outer.Inner)}")
        codec.save(Outer.Inner("late"), tmp_path)
        assert type(codec.load(tmp_path, Note)) is Outer.Inner

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("no_such_module:Note", "cannot be found"),
            (f"{__name__}:Gone", "cannot be found"),
            (f"{__name__}:Path", "no save"),
            ("builtins:eval", "no save"),
            ("", "cannot be found"),
        ],
    )
    def test_a_class_that_is_gone_or_is_no_storable_is_never_called(
        self, tmp_path: Path, name: str, said: str
    ) -> None:
        with pytest.raises(LostClass, match=said):
            StorableCodec(f"storable:{name}").load(tmp_path, object)

    def test_an_object_without_files_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(Unstorable, match="wrote no file"):
            StorableCodec(f"storable:{class_name(Silent)}").save(Silent(), tmp_path)


def test_a_class_that_another_process_could_not_find_is_refused() -> None:
    class Local(Note):
        pass

    with pytest.raises(Unstorable, match="top of a module"):
        class_name(Local)


def test_what_can_save_and_load_is_storable() -> None:
    assert is_storable_class(Note)
    assert not is_storable_class(Path)
    assert not is_storable_class(Note("an instance"))
