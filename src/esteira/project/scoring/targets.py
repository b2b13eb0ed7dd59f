"""Where scores go: a table of the project, or a folder of Parquet files; each chunk is there once or not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow.parquet as pq

from esteira.base.errors import BadInput
from esteira.base.files import sync_folder, writing
from esteira.data.ingestion import quarantine_of
from esteira.data.tables.parquet import ROWS_PER_GROUP, options_for
from esteira.data.tables.schema import refuse_untyped, storable
from esteira.project.result_tables import refuse_filled
from esteira.project.scoring.sources import SUFFIX, is_path

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from esteira.data.tables.port import TableStore
    from esteira.project.station import Station


class RowTarget(Protocol):
    """Takes rows, and knows by a token what it has taken."""

    @property
    def name(self) -> str:
        """The same wherever one asks from."""
        ...

    def exists(self) -> bool: ...

    def holds(self, token: str) -> bool: ...

    def write(self, rows: pa.Table, token: str) -> None:
        """Take rows, durably and all or none; the same token again changes nothing.

        Raises: SchemaChanged, BadInput, StorageUnwritable.
        """
        ...

    def rows(self) -> int:
        """How many it has taken."""
        ...


@dataclass(frozen=True)
class TableTarget:
    """A table of the project."""

    tables: TableStore
    name: str

    def exists(self) -> bool:
        return self.name in self.tables.names()

    def holds(self, token: str) -> bool:
        return self.tables.holding(self.name, token) is not None

    def write(self, rows: pa.Table, token: str) -> None:
        self.tables.append(self.name, rows, token=token)

    def rows(self) -> int:
        return self.tables.version(self.name).rows if self.exists() else 0


@dataclass(frozen=True)
class FolderTarget:
    """A folder of Parquet files, one for each chunk; of a half-written one the name begins with a dot."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.resolve())

    def exists(self) -> bool:
        return self.path.exists() and (self.path.is_file() or any(self.path.iterdir()))

    def holds(self, token: str) -> bool:
        return self._file(token).exists()

    def write(self, rows: pa.Table, token: str) -> None:
        if self.holds(token):
            return
        rows = storable(rows)
        refuse_untyped(rows, self.name)
        scratch = self.path / f".{token}{SUFFIX}"
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                options = options_for(rows.schema, [rows])
                pq.write_table(rows, scratch, row_group_size=ROWS_PER_GROUP, **options)
                with scratch.open("rb") as file:
                    os.fsync(file.fileno())
                scratch.replace(self._file(token))
            except BaseException:
                scratch.unlink(missing_ok=True)
                raise
            sync_folder(self.path)

    def rows(self) -> int:
        return sum(pq.read_metadata(file).num_rows for file in self.path.glob(f"[!.]*{SUFFIX}"))

    def _file(self, token: str) -> Path:
        return self.path / f"{token}{SUFFIX}"


@dataclass(frozen=True, slots=True)
class Ends:
    """Where scored rows go, and where those that cannot be scored."""

    target: RowTarget
    aside: RowTarget
    uses_aside: bool

    def existing(self) -> list[str]:
        """The names of those that are there already."""
        return [each.name for each in self._used if each.exists()]

    def set_aside(self) -> int:
        """How many rows were set aside."""
        return self.aside.rows() if self.uses_aside else 0

    def rows(self) -> int:
        """How many were taken."""
        return self.target.rows() + self.set_aside()

    def first_missing(self, token: Callable[[int], str]) -> int:
        """The first chunk that is not wholly there; `token` names them.

        Of a chunk the rows that are set aside come first, and chunks come in order: where scores of one are
        held, all is there up to it. A chunk may have no scores at all.
        """
        chunk = missing = 0
        while any(each.holds(token(chunk)) for each in self._used):
            chunk += 1
            if self.target.holds(token(chunk - 1)):
                missing = chunk
        return missing

    @property
    def _used(self) -> tuple[RowTarget, ...]:
        return (self.target, self.aside) if self.uses_aside else (self.target,)


def open_target(station: Station, name: str, *, uses_aside: bool) -> Ends:
    """The target of that name, and the one beside it for the rows that cannot be scored.

    Raises: BadInput (a name that is no table's, a table that others fill, a file).
    """
    if is_path(name):
        path = Path(name)
        if path.is_file() or not path.name.strip("."):
            is_what = "is a file" if path.is_file() else "has no name of its own"
            raise BadInput(f"{path} {is_what}; name a folder that is not there yet, e.g. scores{SUFFIX}/")
        aside = path.with_name(f"{quarantine_of(path.name.removesuffix(SUFFIX))}{SUFFIX}")
        return Ends(FolderTarget(path), FolderTarget(aside), uses_aside)
    refuse_filled(station, name)
    aside_table = TableTarget(station.tables, quarantine_of(name))
    return Ends(TableTarget(station.tables, name), aside_table, uses_aside)
