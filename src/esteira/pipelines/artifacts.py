"""Artifacts by content: the name of a value is the digest of its files.

ROOT/ab/abcdef…/   the files of one artifact, written once, whole, never changed
ROOT/.scratch/     what is being written
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from esteira.base.digest import digest_file, digest_folder, digest_json
from esteira.base.errors import CorruptArtifact, UnknownScheme
from esteira.base.files import sync_folder, writing
from esteira.base.optional import path_of
from esteira.base.records import Artifact
from esteira.pipelines.annotations import UNSAID
from esteira.pipelines.codecs import codec_for, open_codec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esteira.pipelines.annotations import Annotation

SMALL = (
    4096  # bytes of one file up to which the journal carries the content, so one commit makes both durable
)
_SCRATCH = ".scratch"
_ABANDONED = 24 * 3600  # seconds after which a scratch folder belongs to a process that was killed


@dataclass(frozen=True, slots=True)
class Kept:
    """A value in the store: its artifact, the value as any reader gets it, its bytes when they are few."""

    artifact: Artifact
    value: object
    small: tuple[str, bytes] | None = None  # file name and content; the file itself may not be durable yet


class ArtifactStore:
    """A folder of artifacts, safe for any number of processes.

    Raises: StorageUnwritable, UnknownScheme.
    >>> import tempfile
    >>> store = ArtifactStore(f"file:{tempfile.mkdtemp()}")
    >>> artifact = store.put({"auc": 0.7})
    >>> artifact.codec, store.get(artifact)
    ('json', {'auc': 0.7})
    """

    def __init__(self, url: str) -> None:
        if urlsplit(url).scheme != "file":
            raise UnknownScheme(url, ("file",))
        self.root = Path(path_of(url))
        self._sweep()

    def put(self, value: object, declared_type: Annotation = UNSAID) -> Artifact:
        """Store a value durably; the same content twice is one artifact.

        Raises: Unstorable, StorageUnwritable.
        """
        kept = self.keep(value, declared_type)
        if kept.small is not None:
            with writing(self.root):
                _sync(self.folder(kept.artifact.digest))
        return kept.artifact

    def keep(self, value: object, declared_type: Annotation = UNSAID) -> Kept:
        """Store a value, durably unless it is small: then the caller commits `small` to make it so.

        Raises: Unstorable, StorageUnwritable.
        """
        name = codec_for(value)
        codec = open_codec(name)
        with self._scratch() as scratch:
            codec.save(value, scratch)
            artifact = Artifact(_digest(scratch), name, _size(scratch))
            small = _small(scratch) if artifact.size <= SMALL else None
            settled = codec.settled(value, scratch, declared_type)
            self._publish(scratch, artifact.digest, synced=small is None)
        return Kept(artifact, settled, small)

    def get(self, artifact: Artifact, declared_type: Annotation = UNSAID) -> object:
        """The value, its bytes checked first. Raises: CorruptArtifact."""
        folder = self.folder(artifact.digest)
        try:
            found = _digest(folder)
        except OSError as unreadable:
            found = unreadable.strerror or "nothing"
        if found != artifact.digest:
            raise CorruptArtifact(f"artifact {artifact.digest[:12]}", artifact.digest, found)
        return open_codec(artifact.codec).load(folder, declared_type)

    def folder(self, digest: str) -> Path:
        """Where the files of an artifact are, or would be."""
        return self.root / digest[:2] / digest

    def is_intact(self, artifact: Artifact) -> bool:
        """Whether the artifact's files are there and are what their digest says."""
        return _holds(self.folder(artifact.digest), artifact.digest)

    def is_lost(self, artifact: Artifact) -> bool:
        """Whether its files are gone or empty, as after a power cut; changed ones are corrupt, not lost."""
        folder = self.folder(artifact.digest)
        return not any(path.stat().st_size for path in folder.glob("*")) if folder.is_dir() else True

    def restore(self, artifact: Artifact, small: tuple[str, bytes]) -> bool:
        """Write a lost artifact again from the bytes that the journal kept; false if those are not its own.

        Raises: StorageUnwritable.
        """
        with self._scratch() as scratch:
            (scratch / small[0]).write_bytes(small[1])
            is_right = _digest(scratch) == artifact.digest
            if is_right:
                self._publish(scratch, artifact.digest, synced=True)
        return is_right

    def count(self) -> int:
        """How many artifacts there are."""
        return sum(1 for _ in self._folders())

    def check(self) -> list[str]:
        """Every artifact whose files are not what its name says, one line each."""
        return [
            f"artifact {folder.name[:12]} has files of digest {found[:12]}; delete {folder} and run again"
            for folder in self._folders()
            if (found := _digest(folder)) != folder.name
        ]

    def _folders(self) -> Iterator[Path]:
        return (folder for folder in sorted(self.root.glob("[0-9a-f][0-9a-f]/*")) if folder.is_dir())

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        with writing(self.root):
            place = self.root / _SCRATCH
            if not place.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(dir=place))
            try:
                yield scratch
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def _publish(self, scratch: Path, digest: str, *, synced: bool) -> None:
        """Give a finished folder its name; one that is there and whole is kept, a damaged one replaced."""
        target = self.folder(digest)
        if _holds(target, digest):
            return
        if not target.parent.is_dir():
            target.parent.mkdir(exist_ok=True)
        if synced:
            _sync(scratch)
        is_mine = False
        while not is_mine and not _holds(target, digest):
            if target.exists():
                self._take_away(target)
            is_mine = _renamed(scratch, target)
        if synced:
            sync_folder(target.parent)
            sync_folder(self.root)

    def _take_away(self, damaged: Path) -> None:
        with self._scratch() as scratch, suppress(FileNotFoundError):  # nothing there, or taken by another
            damaged.replace(scratch / damaged.name)

    def _sweep(self) -> None:
        """Remove what killed processes left behind."""
        place = self.root / _SCRATCH
        for left in place.iterdir() if place.is_dir() else ():
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > _ABANDONED:
                    shutil.rmtree(left, ignore_errors=True)


def _renamed(scratch: Path, target: Path) -> bool:
    """Whether the name was free; it is not when another process was first."""
    try:
        scratch.replace(target)
    except OSError as refused:
        if refused.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _holds(folder: Path, digest: str) -> bool:
    try:
        return _digest(folder) == digest
    except OSError:
        return False


def _digest(folder: Path) -> str:
    """`digest_folder`, quick for the common case of one or a few files."""
    with os.scandir(folder) as entries:
        found = list(entries)
    if any(entry.is_dir() for entry in found):
        return digest_folder(folder)
    return digest_json({entry.name: digest_file(Path(entry.path)) for entry in found})


def _size(folder: Path) -> int:
    with os.scandir(folder) as entries:
        return sum(_size(Path(e.path)) if e.is_dir() else e.stat().st_size for e in entries)


def _small(folder: Path) -> tuple[str, bytes] | None:
    paths = list(folder.iterdir())
    return (paths[0].name, paths[0].read_bytes()) if len(paths) == 1 and paths[0].is_file() else None


def _sync(folder: Path) -> None:
    """Make a folder, its files and its name durable."""
    for path in (*folder.rglob("*"), folder):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder.parent)
