"""Which answered requests are mirrored, and to which shadows: by the routes, sticky by key."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, Protocol

from esteira.serving.splitting import PINNED, SEGMENT_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.serving.access.guard import Headers
    from esteira.serving.live.table import LiveModel
    from esteira.serving.routes import Routes

_SPAN = 2**64  # the number of values that the eight hashed bytes can take
_APART = "\0shadow\0"  # so that the keys of a shadow are not those of an arm with the same share


class Target(NamedTuple):
    """A shadow, as the process that asks it must know it."""

    model: str
    name: str
    version: int
    digest: str  # of the bundle folder


class Chosen(Protocol):
    """Who answered a request, and under which names."""

    @property
    def model(self) -> str: ...
    @property
    def arm(self) -> str: ...
    @property
    def revision(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def at(self) -> int: ...


class Group:
    """Shadows that are asked together."""

    __slots__ = ("labels", "names", "targets")

    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets = tuple(targets)
        self.names = tuple((each.name, each.version) for each in targets)
        self.labels = tuple((each.model, str(each.version)) for each in targets)  # of what is counted


class Plan:
    """The shadows of one model.

    >>> from esteira.serving.routes import Arm, Routes, Shadow
    >>> arms, shadows = (Arm("champion", 1, "a", 1.0),), (Shadow("next", 2, "b", 0.5),)
    >>> plan = Plan(Routes("late", arms, "s", shadows=shadows))
    >>> [plan.of_key(key) is not None for key in ("UA-1", "UA-2", "UA-3", "UA-4")]
    [True, True, False, False]
    """

    __slots__ = ("_all", "_bounds", "_groups", "_salt", "_segments", "targets")

    def __init__(self, routes: Routes) -> None:
        self.targets = tuple(
            Target(routes.model, each.name, each.version, each.digest) for each in routes.shadows
        )
        self._salt, self._segments = routes.salt + _APART, routes.segments
        self._bounds = [
            (each.share * _SPAN, target) for each, target in zip(routes.shadows, self.targets, strict=True)
        ]
        self._groups: dict[tuple[Target, ...], Group] = {}
        self._all = Group(self.targets) if all(each.share >= 1 for each in routes.shadows) else None

    def of(self, chosen: Chosen, headers: Headers) -> Group | None:
        """The shadows that are asked too: none, where the request named its version or its arm."""
        if chosen.arm == PINNED:
            return None
        if self._segments and (headers.get(SEGMENT_HEADER) or "") not in self._segments:
            return None
        return self._all or self.of_key(chosen.key)

    def of_key(self, key: str) -> Group | None:
        """The shadows of a key: the same on every worker and at every time."""
        place = int.from_bytes(blake2b((self._salt + key).encode()).digest()[:8])
        targets = tuple(target for end, target in self._bounds if place < end)
        if not targets:
            return None
        group = self._groups.get(targets)
        if group is None:
            group = self._groups[targets] = Group(targets)
        return group


def plans_of(models: Mapping[str, LiveModel]) -> dict[str, Plan]:
    """The plans of the models that have shadows."""
    return {name: Plan(live.routes) for name, live in models.items() if live.routes.shadows}
