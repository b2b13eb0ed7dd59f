"""Tables on Delta Lake, in a folder.

Each append writes one Parquet file of its own, durably, and then one log entry that names it, with its digest
and token; a reader sees the entry or does not. Of two writers the second takes the next version, so no rows
are lost. What the library does for one append (`write_deltalake`) costs ever more as files grow in number and
lets a power cut tear the log, so appends write the log here; the library opens tables, makes checkpoints,
and takes over where another tool has committed too.
"""

from __future__ import annotations

import logging
import re
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction
from pyarrow import fs

from esteira.base.clock import SystemClock
from esteira.base.errors import BadInput, CorruptArtifact, NotFound, StorageUnwritable, UnknownName
from esteira.base.files import sync_folder, writing
from esteira.base.optional import path_of
from esteira.data.tables.commits import Commits, Facts
from esteira.data.tables.log import (
    CHECKPOINT_EVERY,
    LOG,
    appending,
    beginning,
    commit_info,
    entry,
    is_table,
    publish,
    stats,
)
from esteira.data.tables.parquet import FORMAT, VERIFIED, fragment, problem_with, write_data_file
from esteira.data.tables.schema import TIME, conform, refuse_untyped, storable
from esteira.data.tables.where import condition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from esteira.base.ports import Clock
    from esteira.base.records import TableVersion

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}", re.ASCII)
_ATTEMPTS = 5  # at one append, when others change the table meanwhile
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class DeltaTables:
    """A folder of Delta tables, one subfolder each; safe for several threads and processes at once.

    The clock dates versions. Raises: as `TableStore` says.
    >>> import tempfile
    >>> tables = DeltaTables("delta:" + tempfile.mkdtemp())
    >>> tables.append("flights", pa.table({"miles": [500, 1400]}), token="january").ref
    'flights@0'
    >>> tables.append("flights", pa.table({"miles": [200]})).rows
    3
    >>> tables.read("flights", version=0)["miles"].to_pylist()
    [500, 1400]
    """

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        self.url = url
        self.root = Path(path_of(url))
        self._clock: Clock = clock or SystemClock()
        self._opened: dict[str, _Table] = {}
        self._lock = threading.RLock()

    def append(self, name: str, rows: pa.Table, *, token: str = "") -> TableVersion:
        rows = storable(rows)
        for _ in range(_ATTEMPTS):
            with self._lock:
                made = self._append_once(name, rows, token)
            if made is not None:
                return made
        raise StorageUnwritable(str(self.root / name), f"others were first, {_ATTEMPTS} times in a row")

    def _append_once(self, name: str, rows: pa.Table, token: str) -> TableVersion | None:
        """The version made or held; None when another writer came first and changed what counts."""
        table = self._find(name)
        if table is None:
            refuse_untyped(rows, name)
            return self._write(name, rows, token, partial(_begin, self._folder(name), rows.schema))
        if token and (held := table.commits.holding(token)):
            if (kept := table.commits.added(held)) != rows.num_rows:
                facts = {"table": held.ref, "token": token, "kept": kept, "given": rows.num_rows}
                log.warning("a token came again with other rows, which were not appended", extra=facts)
            return held
        rows = table.conform(rows)
        return self._write(name, rows, token, table.commit) if rows.num_rows else table.commits.version(None)

    def _write(
        self, name: str, rows: pa.Table, token: str, commit: Callable[[Facts], bool]
    ) -> TableVersion | None:
        folder = self._folder(name)
        with writing(folder):
            (folder / LOG).mkdir(parents=True, exist_ok=True)
        facts = write_data_file(folder, rows, at=self._clock.micros(), token=token)
        try:
            if commit(facts):
                return self._known(name).commits.made_by(facts)
        except (OSError, DeltaError, StorageUnwritable) as failed:
            return self._after(failed, name, facts)
        _discard(folder, facts)
        return None

    def _after(self, failed: Exception, name: str, facts: Facts) -> TableVersion | None:
        """The version, if the commit was made nevertheless; else nothing is left of it."""
        table = self._find(name)
        if table is not None and facts.file and (made := table.commits.made_by(facts)):
            log.warning(
                "committed, though not all went well", extra={"table": made.ref, "error": _said(failed)}
            )
            return made
        _discard(self._folder(name), facts)
        if isinstance(failed, DeltaError):  # its word for another writer who came first
            log.info("not committed", extra={"table": name, "error": _said(failed)})
            return None
        if isinstance(failed, StorageUnwritable):
            raise failed
        raise StorageUnwritable(str(self._folder(name)), _said(failed)) from failed

    def read(
        self,
        name: str,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        where: Sequence[tuple[str, str, Any]] = (),
    ) -> pa.Table:
        with self._lock:
            table = self._known(name)
            chosen = table.commits.version(version)
            dataset = table.dataset(chosen.version)
        wanted = condition(chosen.table, where, dataset.schema)
        for column in columns or ():
            if column not in dataset.schema.names:
                raise UnknownName(f"column of {chosen.table}", column, dataset.schema.names)
        try:
            return dataset.to_table(columns=columns, filter=wanted, fragment_scan_options=VERIFIED)
        except (OSError, pa.ArrowException) as failed:
            for path, expected, found in table.problems(chosen.version):
                raise CorruptArtifact(f"{path} of {chosen.ref}", expected, found) from failed
            if where:
                raise BadInput(f"cannot read {chosen.ref} where {[*where]}: {_said(failed)}") from failed
            raise CorruptArtifact(f"a file of {chosen.ref}", "readable rows", _said(failed)) from failed

    def version(self, name: str, number: int | None = None) -> TableVersion:
        with self._lock:
            return self._known(name).commits.version(number)

    def holding(self, name: str, token: str) -> TableVersion | None:
        with self._lock:
            table = self._find(name)
            return table.commits.holding(token) if table else None

    def history(self, name: str) -> list[TableVersion]:
        with self._lock:
            return [*self._known(name).commits.versions]

    def names(self) -> list[str]:
        return sorted(path.parent.name for path in self.root.glob(f"*/{LOG}") if is_table(path.parent))

    def check(self, name: str) -> list[str]:
        with self._lock:
            self._opened.pop(name, None)  # what the disk says, not what we remember
            try:
                table = self._known(name)
                newest = table.commits.version(None)
                problems = [*table.problems(newest.version)]
            except CorruptArtifact as broken:
                return [str(broken)]
        return [f"{path} of {newest.ref}: expected {want}, found {found}" for path, want, found in problems]

    def _folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise BadInput(f"{name!r} cannot name a table; use letters, digits, _ and -, at most 100")
        return self.root / name

    def _find(self, name: str) -> _Table | None:
        """The table with all that any process has committed by now."""
        table = self._opened.get(name)
        if table is not None:
            table.refresh()
            return table
        folder = self._folder(name)
        return self._opened.setdefault(name, _Table(name, folder)) if is_table(folder) else None

    def _known(self, name: str) -> _Table:
        table = self._find(name)
        if table is None:
            raise NotFound("table", name, f"there are: {', '.join(self.names()) or 'none'}")
        return table


class _Table:
    """One open table: its commits, kept current by reading new log entries only."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        self.commits = Commits(name)
        self._place = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
        self._fragments: list[ds.Fragment] = []
        with _readable_log(name):
            self._delta = DeltaTable(str(folder))
            self._schema = pa.schema(self._delta.schema().to_arrow())
        newest = self._delta.version()
        self.refresh()
        if len(self.commits.versions) <= newest:
            lost = entry(folder, len(self.commits.versions)).name
            raise CorruptArtifact(f"log of table {name}", f"{newest + 1} entries", f"no {lost}")

    def refresh(self) -> None:
        known = len(self.commits.versions)
        while (new := entry(self.folder, len(self.commits.versions))).exists():
            self.commits.add(commit_info(new), self._count)
        if len(self.commits.versions) > known and not self.commits.is_ours:
            self._schema = pa.schema(self._snapshot().schema().to_arrow())

    def conform(self, rows: pa.Table) -> pa.Table:
        """The rows as the table has them. Raises: SchemaChanged, BadInput."""
        if not self.commits.is_ours and self._snapshot().metadata().partition_columns:
            raise BadInput(f"table {self.commits.table} has partitions; append with the tool that made it")
        return conform(rows, self._schema, self.commits.table)

    def commit(self, facts: Facts) -> bool:
        """Add a file as the next free version; False when others changed what counts meanwhile.

        Raises: StorageUnwritable, OSError, DeltaError.
        """
        if not self.commits.is_ours:
            return self._commit_among_others(facts)
        while not publish(self.folder, len(self.commits.versions), appending(facts)):
            self.refresh()
            if not self.commits.is_ours or self.commits.holding(facts.token):
                return False
        self.refresh()
        if len(self.commits.versions) % CHECKPOINT_EVERY == 0:
            self._snapshot().create_checkpoint()
        return True

    def _commit_among_others(self, facts: Facts) -> bool:
        """By the library, which knows what changes of others forbid, and sees a token used meanwhile."""
        found = self._snapshot()
        add = AddAction(facts.file, facts.size, {}, facts.at // 1000, data_change=True, stats=stats(facts))
        tokens = [Transaction(facts.token, 1)] if facts.token else None
        about = CommitProperties(custom_metadata=facts.to_plain(), app_transactions=tokens)
        found.create_write_transaction([add], "append", found.schema(), [], commit_properties=about)
        return True

    def dataset(self, version: int) -> ds.FileSystemDataset:
        """The files of a version, in the order of their commits."""
        if not self.commits.is_ours:
            return self._dataset_among_others(version)
        for facts in self.commits.files[len(self._fragments) :]:
            self._fragments.append(fragment(self._place, facts))
        files = self._fragments[: len(self.commits.files_until(version))]
        return ds.FileSystemDataset(files, self._schema, FORMAT, self._place)

    def _dataset_among_others(self, version: int) -> ds.FileSystemDataset:
        with _readable_log(self.commits.table):
            found = self._snapshot(version).to_pyarrow_dataset(filesystem=self._place)
        files = sorted(found.get_fragments(), key=lambda file: self.commits.order(file.path))
        return ds.FileSystemDataset(files, found.schema, found.format, self._place)

    def problems(self, version: int) -> Iterator[tuple[str, str, str]]:
        """Files of a version that are not what was written: path, expected, found."""
        digests = {facts.file: facts.digest for facts in self.commits.files}
        files = [(facts.file, facts.size) for facts in self.commits.files_until(version)]
        if not self.commits.is_ours:
            listed = pa.table(self._snapshot(version).get_add_actions()).select(["path", "size_bytes"])
            files = [(row["path"], row["size_bytes"]) for row in listed.to_pylist()]
        for path, size in files:
            wrong = problem_with(self.folder / path, size, digests.get(path, ""))
            if wrong is not None:
                yield path, *wrong

    def _count(self, version: int) -> int:
        return int(self._snapshot(version).count())

    def _snapshot(self, version: int | None = None) -> DeltaTable:
        """What the library makes of the table, at a version or with all that is committed."""
        with _readable_log(self.commits.table):
            if version is not None and version != self._delta.version():
                return DeltaTable(str(self.folder), version=version)
            if version is None:
                self._delta.update_incremental()
            return self._delta


def _begin(folder: Path, schema: pa.Schema, facts: Facts) -> bool:
    """Begin a table with its first rows in version 0; False when another writer has begun it."""
    times = [field.name for field in schema if field.type == TIME]
    about, *rest = appending(facts)
    if not publish(
        folder, 0, [about, *beginning(Schema.from_arrow(schema).to_json(), times, facts.at), *rest]
    ):
        return False
    sync_folder(folder)
    sync_folder(folder.parent)
    return True


def _discard(folder: Path, facts: Facts) -> None:
    if facts.file:
        (folder / facts.file).unlink(missing_ok=True)


@contextmanager
def _readable_log(table: str) -> Iterator[None]:
    try:
        yield
    except DeltaError as broken:
        raise CorruptArtifact(f"log of table {table}", "a readable Delta log", _said(broken)) from broken


def _said(error: Exception) -> str:
    """What an error says, in one line and without the library's colours and stack."""
    lines = [line.strip(" ↳") for line in _ANSI.sub("", str(error)).splitlines() if line.strip()]
    stack = next((at for at, line in enumerate(lines) if line.startswith("0: ")), len(lines))
    return ": ".join(lines[:stack])
