"""A folder as one file: an uncompressed tar in which equal folders are equal bytes, and nothing else fits.

A header that differs in one bit from what is written here is refused, so links, devices, owners, times and
paths that lead elsewhere never get as far as the disk. Without compression no size can lie: whatever a
header says must be there.
Source: POSIX.1-2017, pax, "ustar Interchange Format".
"""

from __future__ import annotations

import tarfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.base.files import writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST = 2 * 1024**3  # bytes: a bundle is held in memory when it is read
_BLOCK = 512
_END = bytes(2 * _BLOCK)
_MADE = {"__pycache__", ".git"}  # folders that are no part of what they lie in


def pack_folder(folder: Path) -> bytes:
    """All files below a folder, by their relative paths; empty folders are left out.

    Raises: BadInput (a link, a name that no tar holds, more than `LARGEST` bytes).
    """
    paths = [path for path in sorted(folder.rglob("*")) if not _MADE & set(path.relative_to(folder).parts)]
    odd = next((path for path in paths if path.is_symlink() or not (path.is_file() or path.is_dir())), None)
    if odd is not None:
        raise BadInput(f"{odd} is no plain file; put a copy of what it leads to in its place")
    files = [path for path in paths if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    if size > LARGEST:
        raise BadInput(f"{folder} holds {size:,} bytes; the limit is {LARGEST:,}; leave out what can be")
    parts = []
    for path in files:
        content = path.read_bytes()
        parts += [_header(path.relative_to(folder).as_posix(), len(content)), content, _padding(len(content))]
    return b"".join([*parts, _END])


def unpack_folder(content: bytes, folder: Path, what: str) -> None:
    """Write the files of `pack_folder` into an existing, empty folder.

    Raises: CorruptArtifact (anything that `pack_folder` does not write), StorageUnwritable.
    """
    files = dict(_files(content, what))  # all of it is judged before the first byte is written
    with writing(folder):
        for name, held in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:  # never over another one, whatever the disk makes of its name
                file.write(held)


def _files(content: bytes, what: str) -> Iterator[tuple[str, memoryview]]:
    at, view = 0, memoryview(content)
    while content[at : at + _BLOCK] != _END[:_BLOCK]:
        name, size = _entry(content[at : at + _BLOCK], at, what)
        start, at = at + _BLOCK, at + _BLOCK + size + len(_padding(size))
        if at > len(content):
            raise CorruptArtifact(what, f"{size} bytes of {name}", f"{len(content) - start}")
        yield name, view[start : start + size]
    if content[at:] != _END:
        raise CorruptArtifact(what, "an end after its last file", f"{len(content) - at} bytes")


def _entry(block: bytes, at: int, what: str) -> tuple[str, int]:
    try:
        entry = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        is_ours = _header(entry.name, entry.size) == block
    except (tarfile.TarError, ValueError, BadInput) as wrong:
        raise CorruptArtifact(what, f"the header of a file at byte {at}", str(wrong)) from wrong
    if not is_ours:
        raise CorruptArtifact(what, "plain files below its own folder", repr(entry.name))
    return entry.name, entry.size


def _header(name: str, size: int) -> bytes:
    parts = PurePosixPath(name).parts
    if not parts or name != "/".join(parts) or {"..", "/"} & set(parts) or "\0" in name:
        raise BadInput(f"{name!r} is no path below a folder")
    entry = tarfile.TarInfo(name)
    entry.size = size
    try:
        return entry.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
    except ValueError as wrong:  # too long, or no UTF-8
        raise BadInput(f"{name[:80]!r} cannot be a name in a tar ({wrong}); rename the file") from wrong


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)
