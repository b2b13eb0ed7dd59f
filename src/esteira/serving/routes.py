"""Which version of a model answers which request: the split, kept in SQLite, sticky by key."""

from __future__ import annotations

import json
import math
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, EsteiraError
from esteira.base.files import StillLocked, locked
from esteira.base.sqlite import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAMPION = "champion"
_SPAN = 2**64  # the number of values that the eight hashed bytes can take

_SCHEMA = """
CREATE TABLE IF NOT EXISTS routes (
    model TEXT NOT NULL, revision INTEGER NOT NULL, salt TEXT NOT NULL, arms TEXT NOT NULL,
    PRIMARY KEY (model, revision)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS known_versions (
    model TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (model, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unloaded_models (model TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS route_changes (
    change INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL UNIQUE
);
"""
# What changed last, one row for each model: whoever follows reads what is new and not thousands of routes.
_FOLLOWED = (("routes", "INSERT"), ("unloaded_models", "INSERT"), ("unloaded_models", "DELETE"))
_TRIGGERS = "".join(
    f"""
CREATE TRIGGER IF NOT EXISTS {table}_{event.lower()} AFTER {event} ON {table} BEGIN
    DELETE FROM route_changes WHERE model = {row}.model;
    INSERT INTO route_changes (model) VALUES ({row}.model);
END;
"""
    for table, event in _FOLLOWED
    for row in ("OLD" if event == "DELETE" else "NEW",)
)


@dataclass(frozen=True, slots=True)
class Arm:
    """One version that answers a share of the requests."""

    name: str  # champion, challenger…
    version: int
    digest: str  # of the bundle folder
    share: float  # of the requests, 0 to 1


@dataclass(frozen=True)
class Routes:
    """The split of one model's requests over its arms.

    Raises: BadInput when there is no champion, a name is doubled, or the shares do not sum to 1.
    """

    model: str
    arms: tuple[Arm, ...]
    salt: str = ""  # another salt deals the keys anew
    revision: int = 0  # given by the store

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if CHAMPION not in names or len(set(names)) != len(names):
            raise BadInput(
                f"routes of {self.model!r} need one arm named {CHAMPION!r} and no doubled name, found {names}"
            )
        shares = [arm.share for arm in self.arms]
        if not all(0 <= share <= 1 for share in shares) or not math.isclose(sum(shares), 1, abs_tol=1e-9):
            raise BadInput(
                f"shares of {self.model!r} must lie between 0 and 1 and sum to 1, found {shares}; "
                f"give {CHAMPION!r} what the others leave"
            )

    @property
    def champion(self) -> Arm:
        """The arm that is always there."""
        return next(arm for arm in self.arms if arm.name == CHAMPION)

    @cached_property
    def bounds(self) -> tuple[tuple[float, Arm], ...]:
        """Upper ends on the hash scale: challengers from 0 upwards, the champion the rest.

        So a key on the only challenger stays there when the challenger's share grows.
        """
        ends, end = [], 0.0
        for arm in self.arms:
            if arm.name != CHAMPION and arm.share > 0:
                end += arm.share
                ends.append((math.inf if end >= 1 - 1e-9 else end * _SPAN, arm))
        return (*ends, (math.inf, self.champion))


class RoutesMoved(EsteiraError):
    """Routes that somebody else has changed since they were read; nothing was changed."""

    status = 409

    def __init__(self, model: str, expected: int, found: Routes | None) -> None:
        now = "nothing"
        if found is not None:
            shares = (f"{arm.name} {arm.version} ({arm.share:.0%})" for arm in found.arms)
            now = f"revision {found.revision}: {', '.join(shares)}"
        super().__init__(
            f"the routes of {model!r} were changed meanwhile (revision {expected} was read); "
            f"in force is {now}; if that is not what you want, ask again"
        )
        self.model, self.expected, self.found = model, expected, found


def choose(routes: Routes, key: str) -> Arm:
    """The arm of a key: the same on every process and at every time, in proportion to the shares.

    >>> arms = (Arm("champion", 1, "a", 0.75), Arm("challenger", 2, "b", 0.25))
    >>> [choose(Routes("late", arms), key).version for key in ("UA-1", "UA-2", "UA-3", "UA-4")]
    [1, 1, 2, 1]
    """
    bounds = routes.bounds
    if len(bounds) == 1:
        return bounds[0][1]
    place = int.from_bytes(blake2b((routes.salt + key).encode()).digest()[:8])
    for end, arm in bounds:
        if place < end:
            return arm
    return routes.champion


class ChangeUnderWay(EsteiraError):
    """A change of what serves that has not come to its end; nothing was changed."""

    status = 409

    def __init__(self, seconds: float) -> None:
        super().__init__(f"another change of what serves is under way since {seconds:g} s; ask again")


class RouteStore:
    """The routes of all models, with every earlier revision. Raises: StorageUnwritable, CorruptArtifact."""

    def __init__(self, url: str) -> None:
        self._database = Database(url, _SCHEMA + _TRIGGERS)

    def get(self, model: str, revision: int | None = None) -> Routes | None:
        """The routes in force, or those of an earlier revision; None when there are none."""
        found = self._database.rows(
            "SELECT * FROM routes WHERE model = ? AND revision = coalesce(?, revision) "
            "ORDER BY revision DESC LIMIT 1",
            (model, revision),
        )
        if not found:
            return None
        row = found[0]
        arms = tuple(Arm(**arm) for arm in json.loads(row["arms"]))
        return Routes(row["model"], arms, row["salt"], row["revision"])

    @contextmanager
    def changing(self, patience_s: float | None = None) -> Iterator[None]:
        """Hold this from the look at what is in force to the end of a change that takes more than `set`.

        One thread of one process holds it at a time, so none may take it twice.
        Raises: StorageUnwritable, ChangeUnderWay (somebody else held it for all of `patience_s`).
        """
        lock = self._database.path.with_suffix(".routes.lock")
        with ExitStack() as held:
            try:
                held.enter_context(locked(lock, patience_s))
            except StillLocked as taken:
                raise ChangeUnderWay(taken.seconds) from taken
            yield

    def set(self, routes: Routes, *, expected_revision: int | None = None) -> Routes:
        """Put routes in force under the next revision; every gateway on this store takes them up.

        `expected_revision` is the one that was in force when these were decided on, 0 for none.
        Raises: RoutesMoved (another is in force).
        """
        arms = json.dumps([asdict(arm) for arm in routes.arms])
        with self._database.transaction() as connection:
            before = connection.execute(
                "SELECT coalesce(max(revision), 0) FROM routes WHERE model = ?", (routes.model,)
            ).fetchone()[0]
            if expected_revision not in (None, before):
                raise RoutesMoved(routes.model, expected_revision or 0, self.get(routes.model))
            connection.execute(
                "INSERT INTO routes VALUES (?, ?, ?, ?)", (routes.model, before + 1, routes.salt, arms)
            )
        return replace(routes, revision=before + 1)

    def names(self) -> list[str]:
        """The models that have routes."""
        return [row[0] for row in self._database.rows("SELECT DISTINCT model FROM routes ORDER BY model")]

    def revisions(self) -> dict[str, int]:
        """The revision in force of every model."""
        rows = self._database.rows("SELECT model, max(revision) FROM routes GROUP BY model")
        return {row[0]: row[1] for row in rows}

    def know(self, model: str, version: int, digest: str) -> None:
        """Let a version be deployed by its number: the registry's word, where no registry is asked."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO known_versions VALUES (?, ?, ?)", (model, version, digest)
            )

    def known(self, model: str) -> dict[int, str]:
        """The versions that may be deployed by number, with the digests of their bundles."""
        rows = self._database.rows("SELECT version, digest FROM known_versions WHERE model = ?", (model,))
        return {row[0]: row[1] for row in rows}

    def set_unloaded(self, model: str, *, is_unloaded: bool) -> None:
        """Take a model out of every gateway's memory though it has routes, or let it back in."""
        with self._database.transaction() as connection:
            if is_unloaded:
                connection.execute("INSERT OR IGNORE INTO unloaded_models VALUES (?)", (model,))
            else:
                connection.execute("DELETE FROM unloaded_models WHERE model = ?", (model,))

    def unloaded(self) -> frozenset[str]:
        """The models that no gateway holds in memory."""
        return frozenset(row[0] for row in self._database.rows("SELECT model FROM unloaded_models"))

    def newest_change(self) -> int:
        """The number of the newest change of any model: what `changed_since` counts from."""
        return int(self._database.rows("SELECT coalesce(max(change), 0) FROM route_changes")[0][0])

    def changed_since(self, change: int) -> tuple[int, list[str]]:
        """The newest change, and the models whose routes, or being unloaded, changed after that one."""
        sql = "SELECT change, model FROM route_changes WHERE change > ? ORDER BY change"
        rows = self._database.rows(sql, (change,))
        return (rows[-1][0] if rows else change), [row[1] for row in rows]

    def revision(self, model: str) -> int:
        """The revision in force of a model; 0 when it has no routes."""
        found = self._database.rows("SELECT max(revision) FROM routes WHERE model = ?", (model,))
        return found[0][0] or 0

    def versions(self) -> dict[str, list[str]]:
        """The versions that the routes in force of every model name."""
        sql = (
            "SELECT model, (SELECT arms FROM routes AS r WHERE r.model = newest.model AND "
            "r.revision = newest.revision) FROM (SELECT model, max(revision) AS revision FROM routes "
            "GROUP BY model) AS newest"
        )
        rows = self._database.rows(sql)
        return {
            row[0]: list(dict.fromkeys(str(arm["version"]) for arm in json.loads(row[1]))) for row in rows
        }

    def changes(self) -> int:
        """A number that differs after another process or thread has written: cheap to poll."""
        return self._database.changes()
