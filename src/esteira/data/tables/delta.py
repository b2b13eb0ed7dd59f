"""Tables on Delta Lake, in a folder.

Each append writes one Parquet file of its own, durably, and then one commit that names it, with its digest
and token; a reader sees the commit or does not. Two writers never lose rows: Delta lets the second commit
become the next version. What the library offers as a whole (`write_deltalake`) costs ever more per append as
files grow in number; writing the file here and handing over only the commit keeps it flat.
"""

from __future__ import annotations

import logging
import re
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, create_table_with_add_actions
from pyarrow import fs

from esteira.base.clock import SystemClock
from esteira.base.errors import (
    BadInput,
    CorruptArtifact,
    NotFound,
    StorageUnwritable,
    UnknownName,
)
from esteira.base.files import locked, sync_folder, writing
from esteira.base.optional import path_of
from esteira.data.tables.commits import Commits, Facts, commit_info
from esteira.data.tables.parquet import (
    FORMAT,
    VERIFIED,
    fragment,
    problem_with,
    stats_of,
    sync_file,
    write_data_file,
)
from esteira.data.tables.schema import conform, refuse_untyped, storable
from esteira.data.tables.where import condition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from esteira.base.ports import Clock
    from esteira.base.records import TableVersion

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}", re.ASCII)
_ATTEMPTS = 5  # at one append, when others change the table meanwhile
_CHECKPOINT_EVERY = 10  # commits; a commit costs a little more for each one since the last checkpoint
_CHECKPOINT_KEPT = 100  # one in so many versions keeps its checkpoint, for travelling back
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
        raise StorageUnwritable(
            str(self.root / name), f"others changed the table during {_ATTEMPTS} attempts"
        )

    def _append_once(self, name: str, rows: pa.Table, token: str) -> TableVersion | None:
        """The version made or held; None when another writer came first and changed what counts."""
        table = self._find(name)
        if table is None:
            return self._begin(name, rows, token)
        if token and (held := table.commits.holding(token)):
            if (kept := table.commits.added(held)) != rows.num_rows:
                facts = {"table": held.ref, "token": token, "kept": kept, "given": rows.num_rows}
                log.warning("a token came again with other rows, which were not appended", extra=facts)
            return held
        rows = table.conform(rows)
        return self._write(name, table, rows, token) if rows.num_rows else table.commits.version(None)

    def _begin(self, name: str, rows: pa.Table, token: str) -> TableVersion | None:
        refuse_untyped(rows, name)
        folder = self._folder(name)
        with writing(folder):
            (folder / _LOG).mkdir(parents=True, exist_ok=True)
        # Delta lets the slower of two creations through as a second version with its own schema.
        with locked(folder / ".begin.lock"):
            return None if _is_table(folder) else self._write(name, None, rows, token)

    def _write(self, name: str, table: _Table | None, rows: pa.Table, token: str) -> TableVersion | None:
        facts = write_data_file(self._folder(name), rows, at=self._clock.micros(), token=token)
        try:
            if table is None:
                _create(self._folder(name), rows.schema, facts)
            else:
                table.commit(facts)
        except (OSError, DeltaError) as failed:
            return self._settle(name, facts, failed)
        return self._made(name, facts)

    def _made(self, name: str, facts: Facts) -> TableVersion | None:
        table = self._find(name)
        if table is None:
            return None
        return table.commits.made_by(facts.file) if facts.file else table.commits.version(0)

    def _settle(self, name: str, facts: Facts, failed: Exception) -> TableVersion | None:
        """After a failure: was the commit made nevertheless (a checkpoint failed), or was nothing done?"""
        made = self._made(name, facts) if facts.file else None
        if made is not None:
            log.warning("committed, but not tidied up", extra={"table": made.ref, "error": _said(failed)})
            return made
        if facts.file:
            (self._folder(name) / facts.file).unlink(missing_ok=True)
        if isinstance(failed, OSError):
            raise StorageUnwritable(str(self._folder(name)), _said(failed)) from failed
        log.info("another writer came first", extra={"table": name, "error": _said(failed)})
        return None

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
        return sorted(path.parent.name for path in self.root.glob(f"*/{_LOG}") if _is_table(path.parent))

    def check(self, name: str) -> list[str]:
        with self._lock:
            self._opened.pop(name, None)  # what the disk says, not what we remember
            try:
                table = self._known(name)
                newest = table.commits.version(None)
                problems = table.problems(newest.version)
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
        if not _is_table(folder):
            return None
        return self._opened.setdefault(name, _Table(name, folder))

    def _known(self, name: str) -> _Table:
        table = self._find(name)
        if table is None:
            raise NotFound("table", name, f"there are: {', '.join(self.names()) or 'none'}")
        return table


class _Table:
    """One open table: Delta's snapshot, kept current by its new log entries only."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        self.commits = Commits(name)
        self._place = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
        self._fragments: list[ds.Fragment] = []
        with _readable_log(name):
            self._delta = DeltaTable(str(folder))
        self._take_in_new_entries()

    def conform(self, rows: pa.Table) -> pa.Table:
        """The rows as the table has them. Raises: SchemaChanged, BadInput."""
        if self._delta.metadata().partition_columns:
            raise BadInput(f"table {self.commits.table} has partitions; append with the tool that made it")
        return conform(rows, self.schema, self.commits.table)

    def refresh(self) -> None:
        if _entry(self.folder, len(self.commits.versions)).exists():
            with _readable_log(self.commits.table):
                self._delta.update_incremental()
            self._take_in_new_entries()

    def _take_in_new_entries(self) -> None:
        with _readable_log(self.commits.table):
            self.schema = pa.schema(self._delta.schema().to_arrow())
        for version in range(len(self.commits.versions), self._delta.version() + 1):
            self.commits.add(commit_info(_entry(self.folder, version)), self._count)

    def commit(self, facts: Facts) -> None:
        """Add the file as the next free version. Raises: OSError, DeltaError (nothing was committed)."""
        self._delta.create_write_transaction(
            _actions(self.folder, facts),
            mode="append",
            schema=self._delta.schema(),
            partition_by=[],
            commit_properties=_properties(facts),
        )
        self.refresh()
        made = self.commits.made_by(facts.file)
        if made is not None:
            _settle_log(self.folder, made.version)

    def dataset(self, version: int) -> ds.FileSystemDataset:
        """The files of a version, in the order of their commits."""
        if not self.commits.is_ours:
            return self._foreign_dataset(version)
        for facts in self.commits.files[len(self._fragments) :]:
            self._fragments.append(fragment(self._place, facts))
        files = self._fragments[: len(self.commits.files_until(version))]
        return ds.FileSystemDataset(files, self.schema, FORMAT, self._place)

    def _foreign_dataset(self, version: int) -> ds.FileSystemDataset:
        with _readable_log(self.commits.table):
            found = self._at(version).to_pyarrow_dataset(filesystem=self._place)
        files = sorted(found.get_fragments(), key=lambda file: self.commits.order(file.path))
        return ds.FileSystemDataset(files, found.schema, found.format, self._place)

    def problems(self, version: int) -> Iterator[tuple[str, str, str]]:
        """Files of a version that are not what was written: path, expected, found."""
        with _readable_log(self.commits.table):
            files = pa.table(self._at(version).get_add_actions())
        digests = {facts.file: facts.digest for facts in self.commits.files}
        for path, size in zip(files["path"].to_pylist(), files["size_bytes"].to_pylist(), strict=True):
            wrong = problem_with(self.folder / path, size, digests.get(path, ""))
            if wrong is not None:
                yield path, *wrong

    def _count(self, version: int) -> int:
        return int(self._at(version).count())

    def _at(self, version: int) -> DeltaTable:
        if version == self._delta.version():
            return self._delta
        with _readable_log(self.commits.table):
            return DeltaTable(str(self.folder), version=version)


_LOG = "_delta_log"


def _entry(folder: Path, version: int, suffix: str = ".json") -> Path:
    return folder / _LOG / f"{version:020}{suffix}"


def _is_table(folder: Path) -> bool:
    return any((folder / _LOG).glob("*.json"))


def _create(folder: Path, schema: pa.Schema, facts: Facts) -> None:
    """Begin a table with its first rows in version 0. Raises: OSError, DeltaError (another was first)."""
    create_table_with_add_actions(
        str(folder),
        Schema.from_arrow(schema),
        _actions(folder, facts),
        mode="error",
        configuration={
            "delta.checkpointInterval": str(_CHECKPOINT_EVERY),
            "delta.enableExpiredLogCleanup": "false",  # every version stays readable
            **_statistics(schema),
        },
        commit_properties=_properties(facts),
    )
    _settle_log(folder, 0)
    sync_folder(folder)
    sync_folder(folder.parent)


def _statistics(schema: pa.Schema) -> dict[str, str]:
    """Only times have statistics, so let Delta look at no other columns on each commit."""
    times = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    if times and all(name.isidentifier() for name in times):
        return {"delta.dataSkippingStatsColumns": ",".join(times)}
    return {} if times else {"delta.dataSkippingNumIndexedCols": "0"}


def _actions(folder: Path, facts: Facts) -> list[AddAction]:
    if not facts.file:
        return []
    found = (folder / facts.file).stat()
    written_ms = found.st_mtime_ns // 1_000_000
    return [AddAction(facts.file, found.st_size, {}, written_ms, data_change=True, stats=stats_of(facts))]


def _properties(facts: Facts) -> CommitProperties:
    # Delta refuses the slower of two commits that carry the same token at once.
    tokens = [Transaction(facts.token, 1)] if facts.token else None
    return CommitProperties(custom_metadata=facts.to_plain(), app_transactions=tokens)


def _settle_log(folder: Path, version: int) -> None:
    """Make a commit durable, and drop a checkpoint that a later one has made superfluous."""
    checkpoint = _entry(folder, version, ".checkpoint.parquet")
    for path in (_entry(folder, version), checkpoint):
        if path.exists():
            sync_file(path)
    sync_folder(folder / _LOG)
    older = version - 2 * _CHECKPOINT_EVERY
    if (version + 1) % _CHECKPOINT_EVERY == 0 and (older + 1) % _CHECKPOINT_KEPT:
        _entry(folder, older, ".checkpoint.parquet").unlink(missing_ok=True)


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
