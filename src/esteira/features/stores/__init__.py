"""Online stores: the latest row of every key, for serving; nothing heavy loads until one is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.optional import open_by_scheme

if TYPE_CHECKING:
    from esteira.features.stores.port import OnlineStore

_STORES = {
    "lmdb": "esteira.features.stores.lmdb:LmdbStore",
    "memory": "esteira.features.stores.memory:MemoryStore",
    "redis": "esteira.features.stores.redis:RedisStore",
    "rediss": "esteira.features.stores.redis:RedisStore",
    "sqlite": "esteira.features.stores.sqlite:SqliteStore",
    "unix": "esteira.features.stores.redis:RedisStore",
}


def open_store(url: str, *, readonly: bool = False) -> OnlineStore:
    """`lmdb:FOLDER`, `sqlite:FILE`, `redis://HOST:PORT/DB`, or `memory:` for one that dies with the object.

    A Redis with TLS is `rediss://…`, one behind a socket `unix:///PATH`.
    Raises: UnknownScheme, MissingExtra, StorageUnwritable, CorruptArtifact, ServiceUnreachable, BadInput.
    >>> open_store("memory:").read("weather", ("JFK",)) is None
    True
    """
    store: OnlineStore = open_by_scheme(_STORES, url, readonly=readonly)
    return store
