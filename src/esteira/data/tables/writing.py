"""Changing tables: appends, and what keeps them in shape. Each change is one log entry, or did not happen."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, StorageUnwritable
from esteira.base.files import sync_folder, writing
from esteira.data.tables.compaction import merged, runs
from esteira.data.tables.facts import Facts
from esteira.data.tables.log import LOG, appending, beginning, compacting, publish
from esteira.data.tables.opened import LibraryRefused
from esteira.data.tables.parquet import ROWS_PER_GROUP, write_data_file
from esteira.data.tables.port import RETENTION, SEQUENCE, TARGET_BYTES
from esteira.data.tables.reading import TableReader
from esteira.data.tables.retention import removable, remove
from esteira.data.tables.scanning import portions
from esteira.data.tables.schema import TIME, evolved, refuse_untyped, storable
from esteira.data.tables.where import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from esteira.base.ports import Clock
    from esteira.base.records import TableVersion
    from esteira.data.tables.facts import Merge
    from esteira.data.tables.opened import Library, OpenTable
    from esteira.data.tables.port import Vacuumed
    from esteira.data.tables.scanning import Extent

log = logging.getLogger(__name__)

_ATTEMPTS = 5  # at one change, when others change the table meanwhile
_THEIRS = {"compact": "optimize.compact()", "vacuum": "vacuum()", "evolve": "alter.add_columns()"}


class TableWriter(TableReader):
    """A folder of Delta tables as `TableStore` has it; safe for several threads and processes at once."""

    def __init__(self, url: str, clock: Clock, library: type[Library]) -> None:
        super().__init__(url, library)
        self._clock = clock

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
            return self._write(name, rows, token, partial(self._begin, name, rows.schema))
        if token and (held := table.commits.holding(token)):
            if (kept := table.commits.added(held)) != rows.num_rows:
                facts = {"table": held.ref, "token": token, "kept": kept, "given": rows.num_rows}
                log.warning("a token came again with other rows, which were not appended", extra=facts)
            return held
        rows = table.conform(rows)
        return self._write(name, rows, token, table.append) if rows.num_rows else table.commits.version(None)

    def _write(
        self, name: str, rows: pa.Table, token: str, commit: Callable[[Facts], bool]
    ) -> TableVersion | None:
        folder = self._folder(name)
        with writing(folder):
            (folder / LOG).mkdir(parents=True, exist_ok=True)
        facts = write_data_file(folder, rows, at=self._clock.micros(), token=token)
        return self._settle(name, facts, partial(commit, facts))

    def _settle(self, name: str, facts: Facts, commit: Callable[[], bool]) -> TableVersion | None:
        """The version that a commit made; None, and its files gone, when what others did forbids it."""
        try:
            committed = commit()
        except (OSError, LibraryRefused, StorageUnwritable) as failed:
            return self._after(failed, name, facts)
        if committed:
            return self._known(name).commits.made_by(facts)
        _discard(self._folder(name), facts)
        return None

    def _after(self, failed: Exception, name: str, facts: Facts) -> TableVersion | None:
        """The version, if the commit was made nevertheless; else nothing is left of it."""
        table = self._find(name)
        if table is not None and facts.files and (made := table.commits.made_by(facts)):
            log.warning(
                "committed, though not all went well", extra={"table": made.ref, "error": str(failed)}
            )
            return made
        _discard(self._folder(name), facts)
        if isinstance(failed, LibraryRefused):  # its word for another writer who came first
            log.info("not committed", extra={"table": name, "error": str(failed)})
            return None
        if isinstance(failed, StorageUnwritable):
            raise failed
        raise StorageUnwritable(str(self._folder(name)), str(failed)) from failed

    def compact(self, name: str, *, target_bytes: int = TARGET_BYTES) -> TableVersion | None:
        if target_bytes < 1:
            raise BadInput(f"files of {target_bytes} bytes cannot be; give a target of at least 1")
        for _ in range(_ATTEMPTS):
            with self._lock:
                table = self._own(name, "compact")
                chosen = [(run, table.holding(run)) for run in runs(table.commits.layout.files, target_bytes)]
            if not chosen:
                return None
            facts = self._merge(table.folder, chosen)
            removed = [file for run, _ in chosen for file in run]
            with self._lock:
                commit = partial(table.change, compacting(facts, removed), partial(table.still_has, facts))
                if made := self._settle(name, facts, commit):
                    return made
        return None

    def _merge(self, folder: Path, chosen: Sequence[tuple[Sequence[Facts], Extent]]) -> Facts:
        """Write the files of a compaction; nothing is left of them when that fails."""
        at = self._clock.micros()
        merges: list[Merge] = []
        try:
            for run, extent in chosen:
                rows = self._batches(extent, Question(extent.schema.names), ROWS_PER_GROUP, ())
                bare = (batch.drop_columns([SEQUENCE]) for batch in portions(rows, ROWS_PER_GROUP))
                merges.append(merged(folder, extent.schema, run, bare, at))
        except BaseException:
            _discard(folder, Facts(0, at, merges=merges))
            raise
        return Facts(0, at, merges=merges)

    def vacuum(self, name: str, *, older_than: timedelta = RETENTION) -> Vacuumed:
        if older_than < timedelta(0):
            raise BadInput(f"files cannot be older than {older_than}; give 0 or more")
        with self._lock:
            table = self._own(name, "vacuum")
            return remove(removable(table.folder, table.commits, self._clock.micros(), older_than))

    def evolve(self, name: str, schema: pa.Schema) -> TableVersion:
        for _ in range(_ATTEMPTS):
            with self._lock:
                table = self._own(name, "evolve")
                newest = table.commits.version(None)
                before = table.schema(newest.version)
                wanted = evolved(before, schema, name)
                if wanted.equals(before):
                    return newest
                try:
                    table.evolve(wanted, Facts(0, self._clock.micros()))
                except LibraryRefused as failed:  # of the checkpoint, after the commit
                    log.warning("evolved without a checkpoint", extra={"table": name, "error": str(failed)})
        raise StorageUnwritable(str(self.root / name), f"others were first, {_ATTEMPTS} times in a row")

    def _begin(self, name: str, schema: pa.Schema, facts: Facts) -> bool:
        """Begin a table with its first rows in version 0; False when another writer has begun it."""
        folder = self._folder(name)
        times = [field.name for field in schema if field.type == TIME]
        about, *rest = appending(facts)
        spelt = self._library.spelt(schema)
        if not publish(folder, 0, [about, *beginning(spelt, times, facts.at), *rest]):
            return False
        sync_folder(folder)
        sync_folder(folder.parent)
        return True

    def _own(self, name: str, act: str) -> OpenTable:
        """A table that nobody else commits to. Raises: NotFound, BadInput."""
        table = self._known(name)
        if not table.commits.is_ours:
            raise BadInput(
                f"another tool has committed to table {name}, so {act} it there: "
                f"with deltalake, {_THEIRS[act]} of DeltaTable({str(table.folder)!r})"
            )
        return table


def _discard(folder: Path, facts: Facts) -> None:
    for file in facts.files:
        (folder / file).unlink(missing_ok=True)
