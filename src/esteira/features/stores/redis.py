"""Redis (or Valkey) as the online store: when readers are on more machines than one.

A read is one MGET, a write one script: the server runs each of them alone, so both are of one moment. The
script compares versions by halves of 32 bits, for a number in Lua is a double. Redis answers from memory
and need not keep what it said; `materialize` brings it back. Not for a cluster whose keys lie on several
servers.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import URL_QUERY_ARGUMENT_PARSERS
from redis.retry import Retry

from esteira.base.errors import BadInput, ServiceUnreachable, StorageUnwritable, UnknownName
from esteira.features.stores.batch import pack_batch, settle
from esteira.features.stores.packing import (
    pack_keys,
    pack_layout,
    pack_layout_key,
    unpack_layout,
    unpack_rows,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from esteira.features.stores.batch import Batch
    from esteira.features.stores.port import Layout, StoredRow
    from esteira.features.views import FeatureView

READ_S, WRITE_S = 1.0, 30.0  # how long to wait for an answer; `socket_timeout` in the URL is for both
_KEY_BYTES = 511  # a longer key is named by its digest
_CHANGED = -1  # the script's answer when another writer has changed a layout

# KEYS: the set of views, the place of each layout, the place of each row. ARGV: how many layouts; of each
# its view, what it must be and what it becomes; the rows.
_WRITE = """
local function precedes(old, new)
  local a = {struct.unpack('<I4i4I4i4I4i4', old)}
  local b = {struct.unpack('<I4i4I4i4I4i4', new)}
  for high = 2, 6, 2 do
    if a[high] ~= b[high] then return a[high] < b[high] end
    if a[high - 1] ~= b[high - 1] then return a[high - 1] < b[high - 1] end
  end
  return false
end
local views, kept = tonumber(ARGV[1]), 0
for view = 1, views do
  if (redis.call('GET', KEYS[1 + view]) or '') ~= ARGV[3 * view] then return -1 end
end
for view = 1, views do
  redis.call('SADD', KEYS[1], ARGV[3 * view - 1])
  redis.call('SET', KEYS[1 + view], ARGV[3 * view + 1])
end
for at = 2 + views, #KEYS do
  local found, row = redis.call('GET', KEYS[at]), ARGV[2 * views + at]
  if not found or precedes(found, row) then
    redis.call('SET', KEYS[at], row)
    kept = kept + 1
  end
end
return kept
"""


class RedisStore:
    """The store on a server: `redis://[USER:PASSWORD@]HOST:PORT/DB?prefix=esteira`.

    All keys begin with `prefix`. What the URL does not say of user and password, the variables
    REDIS_USERNAME and REDIS_PASSWORD do; further options are those of redis-py, e.g. `socket_timeout=0.2`
    in seconds or `ssl_ca_certs=FILE`. When the server was away, the next call after its return finds it.
    Once a view was read, it may not come back with other keys or features (ViewChanged) until the store is
    opened again.

    Raises: ServiceUnreachable, BadInput (malformed URL), UnknownName (an option).
    """

    def __init__(self, url: str, *, readonly: bool = False) -> None:
        self._readonly = readonly
        self.address = _address(url)
        plain, prefix = _without_prefix(url)
        self._prefix = prefix.encode() + b":"
        self._reads, self._writes = _client(plain, READ_S), _client(plain, WRITE_S)
        self._script = self._writes.register_script(_WRITE)
        self._known: dict[str, bytes] = {}
        with self._answering():
            self._reads.ping()

    def write(self, view: FeatureView, rows: pa.Table) -> int:
        """See `OnlineStore.write`."""
        return self.write_many([(view, rows)])

    def write_many(self, batches: Sequence[tuple[FeatureView, pa.Table]]) -> int:
        """See `OnlineStore.write_many`."""
        if self._readonly:
            raise StorageUnwritable(self.address, "the store was opened to be read only")
        packed = [pack_batch(view, rows, _KEY_BYTES) for view, rows in batches]
        kept = _CHANGED
        while kept == _CHANGED:
            kept = self._put(packed)
        return kept

    def _put(self, batches: Sequence[Batch]) -> int:
        places = {batch.view: self._layout_place(batch.view) for batch in batches}
        with self._answering(is_write=True):
            before: list[Any] = self._writes.mget(places.values()) if places else []
            stored = dict(zip(places, before, strict=True))
            after = settle({view: unpack_layout(each) for view, each in stored.items() if each}, batches)
            keys = [self._prefix + b"views", *places.values()]
            values: list[Any] = [len(places)]
            for view, found in stored.items():
                becomes = pack_layout(view, after[view]) if view in after else found
                values += (view, found or b"", becomes)
            for key, row in (each for batch in batches for each in batch.rows):
                keys.append(self._prefix + key)
                values.append(row)
            return int(self._script(keys, values))

    def read(self, view_name: str, key: tuple[str, ...]) -> StoredRow | None:
        """See `OnlineStore.read`."""
        return self.read_many([(view_name, key)])[0]

    def read_many(self, lookups: Sequence[tuple[str, tuple[str, ...]]]) -> list[StoredRow | None]:
        """See `OnlineStore.read_many`. Raises: ServiceUnreachable, ViewChanged."""
        if not lookups:
            return []
        views = list(dict.fromkeys(view_name for view_name, _ in lookups))
        prefix = self._prefix
        rows = [prefix + key for key in pack_keys(lookups, _KEY_BYTES)]
        with self._answering():
            found: list[Any] = self._reads.mget([*map(self._layout_place, views), *rows])
        for view_name, layout in zip(views, found, strict=False):
            if layout is not None and layout != self._known.get(view_name):
                self._learn(view_name, layout)
        return unpack_rows(found[len(views) :])

    def _learn(self, view_name: str, packed: bytes) -> Layout:
        """A server that was emptied may hold another view of that name: its rows are not what was asked."""
        found, known = unpack_layout(packed), self._known.get(view_name)
        if known is not None:
            unpack_layout(known).takes_over(found, view_name)
        self._known[view_name] = packed
        return found

    def layout(self, view_name: str) -> Layout | None:
        """See `OnlineStore.layout`. Raises: ServiceUnreachable, ViewChanged."""
        with self._answering():
            found: Any = self._reads.get(self._layout_place(view_name))
        return None if found is None else self._learn(view_name, found)

    def views(self) -> dict[str, Layout]:
        """See `OnlineStore.views`. Raises: ServiceUnreachable."""
        with self._answering():
            members: Any = self._reads.smembers(self._prefix + b"views")
            names = sorted(name.decode() for name in members)
            found: list[Any] = self._reads.mget(map(self._layout_place, names)) if names else []
        return {name: unpack_layout(each) for name, each in zip(names, found, strict=True) if each}

    def _layout_place(self, view_name: str) -> bytes:
        return self._prefix + pack_layout_key(view_name, _KEY_BYTES)

    def sync(self) -> None:
        """What a server keeps is its own affair."""

    def close(self) -> None:
        """Let go of the connections."""
        self._reads.close()
        self._writes.close()

    @contextmanager
    def _answering(self, *, is_write: bool = False) -> Iterator[None]:
        try:
            yield
        except redis.ResponseError as refused:
            if is_write:
                raise StorageUnwritable(self.address, str(refused)) from refused
            raise ServiceUnreachable("Redis", self.address, str(refused)) from refused
        except redis.RedisError as silent:
            raise ServiceUnreachable("Redis", self.address, str(silent)) from silent


def _client(url: str, patience_s: float) -> redis.Redis:
    try:
        return redis.Redis.from_url(
            url,
            username=os.environ.get("REDIS_USERNAME"),
            password=os.environ.get("REDIS_PASSWORD"),
            socket_timeout=patience_s,
            socket_connect_timeout=READ_S,
            protocol=2,  # what every server speaks, without a greeting
            # A connection from before a restart is replaced at once; a silent server is not asked twice.
            retry=Retry(NoBackoff(), 1, (redis.ConnectionError,)),
        )
    except ValueError as wrong:
        raise BadInput(f"the Redis URL has an option that cannot be: {wrong}") from wrong


def _address(url: str) -> str:
    """The URL without user, password and options. Raises: BadInput."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    try:
        port, database = parts.port or 6379, int(parts.path.strip("/") or 0)
    except ValueError as wrong:
        raise BadInput("a Redis URL is redis://HOST:PORT/DB with numbers for PORT and DB") from wrong
    return f"{parts.scheme}://{parts.hostname or 'localhost'}:{port}/{database}"


def _without_prefix(url: str) -> tuple[str, str]:
    """The URL as redis-py knows it, and our prefix. Raises: UnknownName."""
    plain, _, query = url.partition("?")
    options = dict(parse_qsl(query))
    prefix = options.pop("prefix", "esteira")
    for name in options:
        if name not in URL_QUERY_ARGUMENT_PARSERS and not name.startswith("ssl_"):
            raise UnknownName("option of the Redis URL", name, [*URL_QUERY_ARGUMENT_PARSERS, "prefix"])
    return f"{plain}?{urlencode(options)}" if options else plain, prefix
