"""Which version of a model answers which request: the split, kept in the state database, sticky by key."""

from __future__ import annotations

import json
import math
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING

from esteira.base.databases import open_database
from esteira.base.errors import BadInput, EsteiraError
from esteira.base.files import StillLocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esteira.base.databases.port import Record

CHAMPION = "champion"
_SPAN = 2**64  # the number of values that the eight hashed bytes can take

_SCHEMA = """
CREATE TABLE IF NOT EXISTS routes (
    model TEXT NOT NULL, revision BIGINT NOT NULL, salt TEXT NOT NULL, arms TEXT NOT NULL,
    PRIMARY KEY (model, revision)
);
CREATE TABLE IF NOT EXISTS known_versions (
    model TEXT NOT NULL, version BIGINT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (model, version)
);
CREATE TABLE IF NOT EXISTS unloaded_models (model TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS route_changes (change BIGINT NOT NULL, model TEXT NOT NULL UNIQUE);
"""
# What changed last, one row for each model: whoever follows reads what is new and not thousands of routes.
_CHANGED = (
    "INSERT INTO route_changes (change, model) VALUES "
    "((SELECT coalesce(max(change), 0) + 1 FROM route_changes), ?) "
    "ON CONFLICT (model) DO UPDATE SET change = excluded.change"
)
_NEWEST = "SELECT model, max(revision) AS revision FROM routes GROUP BY model"


@dataclass(frozen=True, slots=True)
class Arm:
    """One version that answers a share of the requests."""

    name: str  # champion, challenger…
    version: int
    digest: str  # of the bundle folder
    share: float  # of the requests, 0 to 1


@dataclass(frozen=True, slots=True)
class Shadow:
    """A version that is asked what others answer, after the reply; nobody waits for it."""

    name: str  # challenger…
    version: int
    digest: str  # of the bundle folder
    share: float  # of the requests that it is asked too, above 0 to 1


@dataclass(frozen=True)
class Routes:
    """The split of one model's requests over its arms, and who is asked besides.

    An arm with no share is held in memory all the same: what it takes back is answered at once.
    Raises: BadInput when there is no champion, a name is doubled, or the shares do not sum to 1.
    """

    model: str
    arms: tuple[Arm, ...]
    salt: str = ""  # another salt deals the keys anew
    revision: int = 0  # given by the store
    shadows: tuple[Shadow, ...] = ()
    segments: tuple[str, ...] = ()  # whose requests are split; all others go to the champion. Empty: all are

    def __post_init__(self) -> None:
        names = [*(arm.name for arm in self.arms), *(shadow.name for shadow in self.shadows)]
        if CHAMPION not in names[: len(self.arms)] or len(set(names)) != len(names):
            raise BadInput(
                f"routes of {self.model!r} need one arm named {CHAMPION!r} and no doubled name, found {names}"
            )
        shares = [arm.share for arm in self.arms]
        if not all(0 <= share <= 1 for share in shares) or not math.isclose(sum(shares), 1, abs_tol=1e-9):
            raise BadInput(
                f"shares of {self.model!r} must lie between 0 and 1 and sum to 1, found {shares}; "
                f"give {CHAMPION!r} what the others leave"
            )
        mirrored = [each.share for each in self.shadows]
        if not all(0 < share <= 1 for share in mirrored):
            raise BadInput(f"shadows of {self.model!r} are asked a share above 0 to 1, found {mirrored}")
        if "" in self.segments:
            raise BadInput(f"a segment of {self.model!r} needs a name; leave segments out to split them all")

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

    def is_inside(self, segment: str) -> bool:
        """Whether the requests of a segment are split.

        >>> arms = (Arm("champion", 1, "a", 0.75), Arm("challenger", 2, "b", 0.25))
        >>> Routes("late", arms, segments=("beta",)).is_inside("beta"), Routes("late", arms).is_inside("")
        (True, True)
        """
        return not self.segments or segment in self.segments


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
        self._database = open_database(url, _SCHEMA)

    def get(self, model: str, revision: int | None = None) -> Routes | None:
        """The routes in force, or those of an earlier revision; None when there are none."""
        found = self._database.rows(
            "SELECT * FROM routes WHERE model = ? AND revision = coalesce(?, revision) "
            "ORDER BY revision DESC LIMIT 1",
            (model, revision),
        )
        if not found:
            return None
        return _routes(found[0])

    @contextmanager
    def changing(self, patience_s: float | None = None) -> Iterator[None]:
        """Hold this from the look at what is in force to the end of a change that takes more than `set`.

        One thread of one process holds it at a time, so none may take it twice.
        Raises: StorageUnwritable, ChangeUnderWay (somebody else held it for all of `patience_s`).
        """
        with ExitStack() as held:
            try:
                held.enter_context(self._database.exclusive("routes", patience_s))
            except StillLocked as taken:
                raise ChangeUnderWay(taken.seconds) from taken
            yield

    def set(self, routes: Routes, *, expected_revision: int | None = None) -> Routes:
        """Put routes in force under the next revision; every gateway on this store takes them up.

        `expected_revision` is the one that was in force when these were decided on, 0 for none.
        Raises: RoutesMoved (another is in force).
        """
        with self._database.transaction() as writer:
            before = writer.execute(
                "SELECT coalesce(max(revision), 0) AS revision FROM routes WHERE model = ?", (routes.model,)
            ).fetchone()
            held = 0 if before is None else int(before["revision"])
            if expected_revision not in (None, held):
                raise RoutesMoved(routes.model, expected_revision or 0, self.get(routes.model))
            writer.execute(
                "INSERT INTO routes (model, revision, salt, arms) VALUES (?, ?, ?, ?)",
                (routes.model, held + 1, routes.salt, _text(routes)),
            )
            writer.execute(_CHANGED, (routes.model,))
        return replace(routes, revision=held + 1)

    def names(self) -> list[str]:
        """The models that have routes."""
        rows = self._database.rows("SELECT DISTINCT model FROM routes ORDER BY model")
        return [row["model"] for row in rows]

    def revisions(self) -> dict[str, int]:
        """The revision in force of every model."""
        return {row["model"]: row["revision"] for row in self._database.rows(_NEWEST)}

    def know(self, model: str, version: int, digest: str) -> None:
        """Let a version be deployed by its number: the registry's word, where no registry is asked."""
        with self._database.transaction() as writer:
            writer.execute(
                "INSERT INTO known_versions (model, version, digest) VALUES (?, ?, ?) "
                "ON CONFLICT (model, version) DO UPDATE SET digest = excluded.digest",
                (model, version, digest),
            )

    def known(self, model: str) -> dict[int, str]:
        """The versions that may be deployed by number, with the digests of their bundles."""
        rows = self._database.rows("SELECT version, digest FROM known_versions WHERE model = ?", (model,))
        return {row["version"]: row["digest"] for row in rows}

    def set_unloaded(self, model: str, *, is_unloaded: bool) -> None:
        """Take a model out of every gateway's memory though it has routes, or let it back in."""
        with self._database.transaction() as writer:
            if is_unloaded:
                sql = "INSERT INTO unloaded_models (model) VALUES (?) ON CONFLICT (model) DO NOTHING"
            else:
                sql = "DELETE FROM unloaded_models WHERE model = ?"
            writer.execute(sql, (model,))
            writer.execute(_CHANGED, (model,))

    def unloaded(self) -> frozenset[str]:
        """The models that no gateway holds in memory."""
        return frozenset(row["model"] for row in self._database.rows("SELECT model FROM unloaded_models"))

    def newest_change(self) -> int:
        """The number of the newest change of any model: what `changed_since` counts from."""
        rows = self._database.rows("SELECT coalesce(max(change), 0) AS newest FROM route_changes")
        return int(rows[0]["newest"])

    def changed_since(self, change: int) -> tuple[int, list[str]]:
        """The newest change, and the models whose routes, or being unloaded, changed after that one."""
        sql = "SELECT change, model FROM route_changes WHERE change > ? ORDER BY change"
        rows = self._database.rows(sql, (change,))
        return (rows[-1]["change"] if rows else change), [row["model"] for row in rows]

    def revision(self, model: str) -> int:
        """The revision in force of a model; 0 when it has no routes."""
        sql = "SELECT coalesce(max(revision), 0) AS revision FROM routes WHERE model = ?"
        return int(self._database.rows(sql, (model,))[0]["revision"])

    def versions(self) -> dict[str, list[str]]:
        """The versions that the routes in force of every model name, those of shadows left out."""
        sql = (
            f"SELECT routes.* FROM routes JOIN ({_NEWEST}) AS newest "
            "ON routes.model = newest.model AND routes.revision = newest.revision"
        )
        found = (_routes(row) for row in self._database.rows(sql))
        return {each.model: list(dict.fromkeys(str(arm.version) for arm in each.arms)) for each in found}

    def changes(self) -> int:
        """A number that differs after another process or thread has written: cheap to poll."""
        return self._database.changes()


def _text(routes: Routes) -> str:
    """What the store keeps: a plain list where nothing but arms is said, as it always was."""
    arms = [asdict(arm) for arm in routes.arms]
    if not routes.shadows and not routes.segments:
        return json.dumps(arms)
    shadows = [asdict(each) for each in routes.shadows]
    return json.dumps({"arms": arms, "shadows": shadows, "segments": routes.segments})


def _routes(row: Record) -> Routes:
    said = json.loads(row["arms"])
    said = said if isinstance(said, dict) else {"arms": said, "shadows": (), "segments": ()}
    return Routes(
        row["model"],
        tuple(Arm(**each) for each in said["arms"]),
        row["salt"],
        row["revision"],
        tuple(Shadow(**each) for each in said["shadows"]),
        tuple(said["segments"]),
    )
