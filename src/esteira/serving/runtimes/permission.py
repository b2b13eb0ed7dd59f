"""Whether this process may open models that run code of their own: said once, where settings are read."""

from __future__ import annotations

from dataclasses import dataclass

from esteira.base.errors import BadInput


@dataclass(frozen=True, slots=True)
class Permission:
    """What `[gateway]` of esteira.toml says of pyfunc models. Raises: BadInput (no time for a call)."""

    is_given: bool = False
    seconds: float = 60.0  # that one call may take

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise BadInput(f"pyfunc_seconds under [gateway] must be above 0, found {self.seconds:g}")


class PyfuncNotAllowed(BadInput):
    """A pyfunc model in a project that has not said that it may run."""

    def __init__(self) -> None:
        super().__init__(
            "a pyfunc model runs whatever Python code it brings, with this user's rights, so none is opened "
            "unasked; if you trust its origin, write allow_pyfunc = true under [gateway] in esteira.toml"
        )


_said = [Permission()]


def permit(permission: Permission) -> None:
    """Set what holds for this process. Called by doors only, and before the first model is opened."""
    _said[0] = permission


def permission() -> Permission:
    """What the last door said; nothing is allowed until one has.

    Raises: PyfuncNotAllowed.
    """
    if not _said[0].is_given:
        raise PyfuncNotAllowed
    return _said[0]
