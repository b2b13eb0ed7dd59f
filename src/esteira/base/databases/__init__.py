"""SQL databases for journals and ledgers; nothing heavy loads until one is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.optional import open_by_scheme

if TYPE_CHECKING:
    from esteira.base.databases.port import SqlDatabase

_DATABASES = {
    "postgres": "esteira.base.databases.postgresql:PostgresDatabase",
    "postgresql": "esteira.base.databases.postgresql:PostgresDatabase",
    "sqlite": "esteira.base.sqlite:Database",
}


def open_database(url: str, schema: str = "") -> SqlDatabase:
    """`sqlite:FILE` or `postgresql://USER@HOST/NAME`, with what is missing of the schema created.

    Raises: UnknownScheme, MissingExtra, StorageUnwritable, CorruptArtifact, ServiceUnreachable.
    >>> database = open_database("sqlite::memory:", "CREATE TABLE step (name TEXT)")
    >>> database.rows("SELECT count(*) AS steps FROM step")[0]["steps"]
    0
    """
    database: SqlDatabase = open_by_scheme(_DATABASES, url, schema=schema)
    return database
