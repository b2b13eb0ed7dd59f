"""What a graph is fed from outside: a thing with a pinned identity, loaded only when a step needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from esteira.base.errors import EsteiraError

if TYPE_CHECKING:
    from collections.abc import Callable


class InputFailed(EsteiraError):
    """An input that cannot be loaded."""

    def __init__(self, name: str, identity: str, reason: str) -> None:
        super().__init__(f"input {name!r} ({identity}) cannot be loaded: {reason}")
        self.name, self.identity, self.reason = name, identity, reason


class Input(Protocol):
    """A pinned value. Equal identities must mean equal values: the cache trusts them."""

    @property
    def identity(self) -> str:
        """What the key and the manifest keep, e.g. `flights@3`."""
        ...

    def resolve(self) -> object:
        """The value; called at most once per run, and only if a step really runs with it."""
        ...


@dataclass(frozen=True, slots=True)
class Pinned:
    """An input from an identity and the function that loads it.

    >>> Pinned("answer@1", lambda: 42).resolve()
    42
    """

    identity: str
    load: Callable[[], object]

    def resolve(self) -> object:
        return self.load()
