from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.serving.runtimes import packing
from esteira.serving.runtimes.packing import pack_folder, unpack_folder

if TYPE_CHECKING:
    from pathlib import Path

NAMES = st.from_regex(r"[a-zç]{1,3}(/[a-z]{1,3}){0,2}\.(txt|bin)", fullmatch=True)


def laid(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def found(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@settings(max_examples=50)
@given(files=st.dictionaries(NAMES, st.binary(max_size=1500), max_size=5))
def test_a_folder_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    content = pack_folder(laid(tmp_path_factory.mktemp("from"), files))
    to = tmp_path_factory.mktemp("to")
    unpack_folder(content, to, "it")
    assert found(to) == files
    assert pack_folder(to) == content  # whatever the times and the order on the disk


def test_every_tar_reader_reads_it(tmp_path: Path) -> None:
    content = pack_folder(laid(tmp_path, {"MLmodel": b"x", "data/model.pkl": b"y" * 600}))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert tar.getnames() == ["MLmodel", "data/model.pkl"]


def test_what_python_and_git_leave_behind_is_no_part_of_it(tmp_path: Path) -> None:
    files = {"code/a.py": b"1", "code/__pycache__/a.pyc": b"2", ".git/config": b"3"}
    content = pack_folder(laid(tmp_path, files))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert tar.getnames() == ["code/a.py"]


def test_a_link_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "weights").symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match="weights is no plain file; put a copy"):
        pack_folder(tmp_path)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="no plain file"):
        pack_folder(tmp_path)


def test_a_folder_that_is_too_large_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "LARGEST", 10)
    with pytest.raises(BadInput, match="holds 11 bytes; the limit is 10"):
        pack_folder(laid(tmp_path, {"model": b"x" * 11}))


def test_a_name_that_no_tar_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="rename the file"):
        pack_folder(laid(tmp_path, {"x" * 120: b""}))


def tar_of(*entries: tarfile.TarInfo) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for entry in entries:
            tar.addfile(entry, io.BytesIO(b"x" * entry.size))
    return target.getvalue()


def entry(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


@pytest.mark.parametrize(
    "hostile",
    [
        entry("/etc/evil"),
        entry("../evil"),
        entry("a/../../evil"),
        entry("a//evil"),
        entry("./evil"),
        entry("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        entry("hard", type=tarfile.LNKTYPE, linkname="MLmodel"),
        entry("folder", type=tarfile.DIRTYPE),
        entry("pipe", type=tarfile.FIFOTYPE),
        entry("device", type=tarfile.CHRTYPE),
        entry("suid", mode=0o4755),
        entry("owned", uid=1000),
        entry("timed", mtime=1),
    ],
    ids=lambda each: each.name,
)
def test_whatever_is_no_plain_file_below_the_folder_is_corrupt(
    tmp_path: Path, hostile: tarfile.TarInfo
) -> None:
    with pytest.raises(CorruptArtifact):
        unpack_folder(tar_of(entry("MLmodel"), hostile), tmp_path, "model.tar")
    assert list(tmp_path.iterdir()) == []  # nothing is written before all of it was judged


@settings(max_examples=60)
@given(data=st.data())
def test_a_tar_that_was_cut_or_grew_is_corrupt(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = pack_folder(laid(tmp_path_factory.mktemp("from"), {"MLmodel": b"x" * 700, "b": b"y"}))
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(CorruptArtifact):
        unpack_folder(cut, tmp_path_factory.mktemp("cut"), "model.tar")
    with pytest.raises(CorruptArtifact):
        unpack_folder(whole + (cut or b"x"), tmp_path_factory.mktemp("long"), "model.tar")


def test_a_size_that_lies_is_corrupt(tmp_path: Path) -> None:
    lying = entry("MLmodel", size=2**32)
    with pytest.raises(CorruptArtifact, match="4294967296 bytes"):
        unpack_folder(lying.tobuf(tarfile.USTAR_FORMAT) + bytes(1024), tmp_path, "model.tar")
