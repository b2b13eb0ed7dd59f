"""LMDB as the online store: one memory-mapped file that many processes read while one writes.

A write is one transaction: after `kill -9` it is there whole or not at all. The data are synced before a
write returns, the page that points to them with the next write or `sync`, so a power loss may undo the last
write, never half of it. A read begins a transaction of its own, which LMDB renews
from the one before, and thus sees every write that has ended, in whichever process.

LMDB forbids a process to open one environment twice, so all stores of a process on one folder share it; a
process that forks opens its stores after the fork. The readers' table lies in the folder, so reading needs
a writable folder too.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import lmdb

from esteira.base.errors import CorruptArtifact, EsteiraError, StorageUnwritable
from esteira.base.files import writing
from esteira.base.optional import path_of
from esteira.features.stores.batch import pack_batch, settle
from esteira.features.stores.packing import (
    LAYOUTS,
    pack_keys,
    pack_layout,
    pack_layout_key,
    unpack_layout,
    unpack_layouts,
    unpack_rows,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from esteira.features.stores.batch import Batch
    from esteira.features.stores.port import Layout, StoredRow
    from esteira.features.views import FeatureView

    Transaction = Any  # lmdb ships no types

T = TypeVar("T")

MAP_BYTES = 1 << 26  # to begin with; it doubles whenever it is full
_READERS = 1024
_PATIENCE = 10_000  # milliseconds to wait for a map that another process has grown
_CORRUPT = (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.VersionMismatchError)
_UNWRITTEN_PAGES = 16  # LMDB may leave the last pages it counted unwritten


class LmdbStore:
    """The store in a folder. Raises: StorageUnwritable, CorruptArtifact.

    >>> import tempfile
    >>> store = LmdbStore(f"lmdb:{tempfile.mkdtemp()}")
    >>> store.read("weather", ("JFK",)) is None
    True
    >>> store.close()
    """

    def __init__(self, url: str, *, readonly: bool = False, map_bytes: int = MAP_BYTES) -> None:
        self._folder, self._readonly = Path(path_of(url)), readonly
        self._shared = _share(self._folder, map_bytes)
        self._limit, self._is_closed = self._shared.limit, False

    def write(self, view: FeatureView, rows: pa.Table) -> int:
        """See `OnlineStore.write`."""
        return self.write_many([(view, rows)])

    def write_many(self, batches: Sequence[tuple[FeatureView, pa.Table]]) -> int:
        """See `OnlineStore.write_many`."""
        if self._readonly:
            raise StorageUnwritable(str(self._folder), "the store was opened to be read only")
        packed = [pack_batch(view, rows, self._limit) for view, rows in batches]
        try:
            return self._shared.write(lambda transaction: self._put(transaction, packed))
        except lmdb.Error as refused:
            raise _in_our_words(self._folder, refused) from refused

    def _put(self, transaction: Transaction, batches: Sequence[Batch]) -> int:
        places = {batch.view: pack_layout_key(batch.view, self._limit) for batch in batches}
        found = {view: transaction.get(place) for view, place in places.items()}
        stored = {view: unpack_layout(layout) for view, layout in found.items() if layout is not None}
        for view, layout in settle(stored, batches).items():
            transaction.put(places[view], pack_layout(view, layout))
        kept = 0
        for key, row in (each for batch in batches for each in batch.rows):
            before = transaction.get(key)
            if before is None or version_of(before) < version_of(row):
                transaction.put(key, row)
                kept += 1
        return kept

    def read(self, view_name: str, key: tuple[str, ...]) -> StoredRow | None:
        """See `OnlineStore.read`."""
        return self.read_many([(view_name, key)])[0]

    def read_many(self, lookups: Sequence[tuple[str, tuple[str, ...]]]) -> list[StoredRow | None]:
        """See `OnlineStore.read_many`. Raises: CorruptArtifact."""
        return unpack_rows(self._fetch(pack_keys(lookups, self._limit)))

    def layout(self, view_name: str) -> Layout | None:
        """See `OnlineStore.layout`."""
        (found,) = self._fetch([pack_layout_key(view_name, self._limit)])
        return None if found is None else unpack_layout(found)

    def views(self) -> dict[str, Layout]:
        """See `OnlineStore.views`."""
        try:
            return unpack_layouts(self._shared.scan(LAYOUTS))
        except lmdb.Error as refused:
            raise _in_our_words(self._folder, refused) from refused

    def _fetch(self, keys: Sequence[bytes]) -> list[bytes | None]:
        try:
            return self._shared.fetch(keys)
        except lmdb.Error as refused:
            raise _in_our_words(self._folder, refused) from refused

    def sync(self) -> None:
        """See `OnlineStore.sync`."""
        try:
            self._shared.sync()
        except lmdb.Error as refused:
            raise _in_our_words(self._folder, refused) from refused

    def close(self) -> None:
        """Let go of the folder; the last store of the process on it closes the files."""
        if not self._is_closed:
            self._is_closed = True
            self._shared.release()


class _Environment:
    """The one LMDB environment of this process on a folder, with its map that grows.

    py-lmdb breaks when the map is moved under a transaction of another thread, so a read holds a lock for
    its microsecond.
    """

    def __init__(self, folder: Path, map_bytes: int) -> None:
        self._lmdb = lmdb.open(
            str(folder), map_size=map_bytes, metasync=False, max_readers=_READERS, max_spare_txns=1
        )
        self._refuse_a_short_file(folder)
        self.identity = _identity(folder)
        self.limit: int = self._lmdb.max_key_size()
        self.users = 0
        self._reading, self._writing = threading.Lock(), threading.Lock()

    def fetch(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of several keys, as of one moment."""
        return self._look(lambda transaction: list(map(transaction.get, keys)))

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """All keys that begin so with their values, as of one moment."""

        def look(transaction: Transaction) -> list[tuple[bytes, bytes]]:
            cursor = transaction.cursor()
            found = cursor.iternext() if cursor.set_range(prefix) else ()
            return list(takewhile(lambda pair: pair[0].startswith(prefix), found))

        return self._look(look)

    def _look(self, look: Callable[[Any], T]) -> T:
        for _ in range(_PATIENCE):
            with self._reading:
                try:
                    transaction = self._lmdb.begin()
                    try:
                        return look(transaction)
                    finally:
                        transaction.abort()
                except lmdb.MapResizedError:
                    with suppress(lmdb.Error):  # a writer of ours is about to do the same
                        self._lmdb.set_mapsize(0)
            time.sleep(0.001)
        raise lmdb.MapResizedError("the map could not be adopted")

    def write(self, act: Callable[[Any], int]) -> int:
        """Do `act` in one transaction, again with a larger map when it is full."""
        with self._writing:
            self._lmdb.reader_check()  # a reader that was killed must not keep old pages alive
            while True:
                try:
                    with self._lmdb.begin(write=True) as transaction:
                        return act(transaction)
                except lmdb.MapFullError:
                    self._resize(2 * self._lmdb.info()["map_size"])
                except lmdb.MapResizedError:
                    self._resize(0)

    def sync(self) -> None:
        """Put the last write on the disk too."""
        with self._writing:
            self._lmdb.sync(True)  # noqa: FBT003 - positional only

    def _resize(self, size: int) -> None:
        with self._reading:
            self._lmdb.set_mapsize(size)

    def _refuse_a_short_file(self, folder: Path) -> None:
        """A file that was cut short would kill the process when it is read."""
        expected = (self._lmdb.info()["last_pgno"] + 1 - _UNWRITTEN_PAGES) * self._lmdb.stat()["psize"]
        found = (folder / "data.mdb").stat().st_size
        if found < expected:
            self._lmdb.close()
            raise CorruptArtifact(f"online store {folder}", f"at least {expected} bytes", f"{found}")

    def release(self) -> None:
        """One user less; the last one closes it."""
        with _OPENING:
            self.users -= 1
            if not self.users:
                del _OPEN[self.identity]
                self._lmdb.close()


_OPEN: dict[tuple[int, int], _Environment] = {}
_OPENING = threading.Lock()


def _share(folder: Path, map_bytes: int) -> _Environment:
    with writing(folder), _OPENING:
        folder.mkdir(parents=True, exist_ok=True)
        environment = _OPEN.get(_identity(folder))
        if environment is None:
            environment = _open(folder, map_bytes)
            _OPEN[environment.identity] = environment
        environment.users += 1
        return environment


def _open(folder: Path, map_bytes: int) -> _Environment:
    try:
        return _Environment(folder, map_bytes)
    except lmdb.Error as refused:
        raise _in_our_words(folder, refused) from refused


def _identity(folder: Path) -> tuple[int, int]:
    """The file itself, whatever its path: a folder that was deleted and made again is another one."""
    try:
        found = (folder / "data.mdb").stat()
    except FileNotFoundError:
        return (0, 0)
    return found.st_dev, found.st_ino


def _in_our_words(folder: Path, refused: lmdb.Error) -> EsteiraError:
    if isinstance(refused, _CORRUPT):
        return CorruptArtifact(f"online store {folder}", "an LMDB environment", str(refused))
    return StorageUnwritable(str(folder), str(refused))
