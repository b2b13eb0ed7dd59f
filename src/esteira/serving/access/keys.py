"""API keys: shown once, kept as digests in the state store, followed by every gateway on it."""

from __future__ import annotations

import json
import logging
import math
import re
import secrets
import threading
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from esteira.base.databases import open_database
from esteira.base.errors import BadInput, NotFound, UnknownName
from esteira.serving.access.roles import ROLES, Caller

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.base.databases.port import Record, Writer
    from esteira.base.ports import Clock

log = logging.getLogger(__name__)

EVERY_S = 0.02  # between two looks at the store: a revoked key is refused this long afterwards
_RETRY_S = 1.0
_PREFIX = "esk_"  # so that scanners of repositories and logs know one when they see it
_SECRET_BYTES = 32
LENGTH = len(_PREFIX) + 8 + 43  # of every key: the prefix, its id, 256 bits in the URL-safe alphabet

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_MODEL = re.compile(r"[^/\x00-\x20\x7f]{1,256}")
_YEAR_10000 = 253_402_300_800_000_000  # UTC microseconds

# A key in force has its name alone; one that was revoked stays, for the audit names it.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS api_keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, digest BYTEA NOT NULL UNIQUE, roles TEXT NOT NULL,
    models TEXT NOT NULL, created BIGINT NOT NULL, expires BIGINT, revoked BIGINT
);
CREATE UNIQUE INDEX IF NOT EXISTS one_key_of_a_name ON api_keys (name) WHERE revoked IS NULL;
"""


@dataclass(frozen=True, slots=True)
class Secret:
    """The text of a fresh key: shown to its owner once and stored nowhere."""

    text: str = field(repr=False)


def digest_of(text: str) -> bytes:
    """What is kept of a key.

    Plain SHA-256: slow hashes make up for passwords that can be guessed, and nobody guesses 256 random bits.
    """
    return sha256(text.encode("utf-8", "replace")).digest()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What a key is for. Times are UTC microseconds."""

    id: str
    name: str
    roles: tuple[str, ...]
    models: tuple[str, ...]  # names or patterns; empty: every model
    created: int
    expires: int | None = None
    revoked: int | None = None

    def is_valid(self, now: int) -> bool:
        """Whether it opens anything at UTC microsecond `now`."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def new_key(
    name: str, roles: Sequence[str], models: Sequence[str] = (), *, created: int, expires: int | None = None
) -> tuple[ApiKey, Secret]:
    """A key of 256 bits from the operating system, behind a public id; nothing is stored yet.

    Raises: BadInput (a name or a model that cannot be one, no role, an end that is no time), UnknownName
    (a role).
    >>> key, secret = new_key("shop", ["predict"], created=0)
    >>> secret.text.startswith(f"esk_{key.id}"), len(secret.text)
    (True, 55)
    """
    if not _NAME.fullmatch(name):
        form = "up to 64 letters, digits and . _ @ -, beginning with a letter or a digit"
        raise BadInput(f"a key's name is {form}; found {name[:80]!r}")
    if not roles:
        raise BadInput(f"key {name!r} needs a role: {', '.join(ROLES)}")
    for role in roles:
        if role not in ROLES:
            raise UnknownName("role", role, ROLES)
    for model in models:
        if not _MODEL.fullmatch(model):
            raise BadInput(f"{model[:80]!r} names no model; give a name, or a pattern such as price-*")
    if expires is not None and not created < expires < _YEAR_10000:
        raise BadInput(f"key {name!r} must end after it is made and before the year 10000")
    key_id = secrets.token_hex(4)
    secret = Secret(f"{_PREFIX}{key_id}{secrets.token_urlsafe(_SECRET_BYTES)}")
    return ApiKey(
        key_id, name, tuple(dict.fromkeys(roles)), tuple(dict.fromkeys(models)), created, expires
    ), secret


class KeyStore:
    """The keys of a project, without their texts. Raises: as `open_database`.

    >>> store = KeyStore("sqlite::memory:")
    >>> key, secret = new_key("shop", ["predict"], created=0)
    >>> store.add(key, secret)
    >>> store.by_digest()[digest_of(secret.text)].name
    'shop'
    """

    def __init__(self, url: str) -> None:
        self._database = open_database(url, _SCHEMA)

    def add(self, key: ApiKey, secret: Secret) -> None:
        """Let a key in. Raises: BadInput (its name is another's)."""
        row = (
            key.id, key.name, digest_of(secret.text), json.dumps(key.roles), json.dumps(key.models),
            key.created, key.expires, key.revoked,
        )  # fmt: skip
        with self._database.transaction() as writer:
            self._refuse_taken(writer, key.name)
            writer.execute("INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def get(self, name: str) -> ApiKey:
        """The key of a name that was not revoked. Raises: NotFound."""
        rows = self._database.rows("SELECT * FROM api_keys WHERE name = ? AND revoked IS NULL", (name,))
        if not rows:
            raise NotFound("API key", name[:80], "see which there are: esteira keys list")
        return _key(rows[0])

    def refuse_taken(self, name: str) -> None:
        """Raises: BadInput when a key that was not revoked has the name."""
        with self._database.transaction() as writer:
            self._refuse_taken(writer, name)

    def revoke(self, key_id: str, at: int) -> None:
        """Shut a key out for good, from UTC microsecond `at`; a second time changes nothing."""
        with self._database.transaction() as writer:
            writer.execute("UPDATE api_keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (at, key_id))

    def all(self) -> list[ApiKey]:
        """Every key that was ever made, oldest first."""
        sql = "SELECT * FROM api_keys ORDER BY created, revoked IS NULL, name, id"
        return [_key(row) for row in self._database.rows(sql)]

    def by_digest(self) -> dict[bytes, ApiKey]:
        """Those that were not revoked, by the digest of their text."""
        rows = self._database.rows("SELECT * FROM api_keys WHERE revoked IS NULL")
        return {row["digest"]: _key(row) for row in rows}

    def changes(self) -> int:
        """A number that differs after anyone else has written to the state store: cheap to poll."""
        return self._database.changes()

    @staticmethod
    def _refuse_taken(writer: Writer, name: str) -> None:
        sql = "SELECT id FROM api_keys WHERE name = ? AND revoked IS NULL"
        if writer.execute(sql, (name,)).fetchone():
            mend = f"choose another name, or first: esteira keys revoke {name}"
            raise BadInput(f"there is a key named {name!r} already; {mend}")


class KeyRing:
    """The callers whose keys are valid now, followed while the store changes.

    When a key was last used is not kept: a gateway writes nothing to the state store for a request.
    """

    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._seen = -1
        self._keys: Mapping[bytes, ApiKey] = {}
        self._from, self._until = -math.inf, math.inf  # UTC microseconds: meanwhile no key begins or ends
        self._stop = threading.Event()
        self.callers: Mapping[bytes, Caller] = {}  # replaced by one reference, never changed in place

    def follow(self) -> None:
        """Take up what changed since the last look, and drop what expired.

        What expired by a clock that is then set back is valid again, as for whoever starts only now.
        Raises: as `open_database`.
        """
        if not self._from <= self._clock.micros() < self._until:
            self._sort_out()  # needs no store, so one that fails keeps no key alive
        changes = self._store.changes()  # before reading, so that no later write is missed
        if changes != self._seen:
            self._keys = self._store.by_digest()
            self._sort_out()
            self._seen = changes

    def watch(self) -> None:
        """Follow on a thread of its own until `close`: while a model loads, a key may be revoked."""
        threading.Thread(target=self._watch, name="keys", daemon=True).start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()

    def _watch(self) -> None:
        self._seen = -1  # the number of changes is each connection's own, and so each thread's
        wait = 0.0
        while not self._stop.wait(wait):
            wait = EVERY_S
            try:
                self.follow()
            except Exception:  # whatever breaks, the thread must not: keys would be valid for ever
                log.exception("keys could not be followed; trying again")
                wait = _RETRY_S

    def _sort_out(self) -> None:
        now = self._clock.micros()
        valid = {digest: key for digest, key in self._keys.items() if key.is_valid(now)}
        ends = [key.expires for key in self._keys.values() if key.expires is not None]
        self._from = max((end for end in ends if end <= now), default=-math.inf)
        self._until = min((end for end in ends if end > now), default=math.inf)
        self.callers = {
            digest: Caller(key.name, frozenset(key.roles), key.models) for digest, key in valid.items()
        }


def _key(row: Record) -> ApiKey:
    roles, models = json.loads(row["roles"]), json.loads(row["models"])
    times = row["created"], row["expires"], row["revoked"]
    return ApiKey(row["id"], row["name"], tuple(roles), tuple(models), *times)
