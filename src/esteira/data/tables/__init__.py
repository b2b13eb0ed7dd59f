"""Open a table store by URL; nothing heavy loads until asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.optional import open_by_scheme

if TYPE_CHECKING:
    from esteira.base.ports import Clock
    from esteira.data.tables.port import TableStore

_STORES = {"delta": "esteira.data.tables.delta:DeltaTables"}


def open_tables(url: str, *, clock: Clock | None = None) -> TableStore:
    """`delta:PATH`; the clock dates the versions, the machine's if not given.

    Raises: UnknownScheme, MissingExtra.
    """
    store: TableStore = open_by_scheme(_STORES, url, clock=clock)
    return store
