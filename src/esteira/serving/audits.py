"""Opening the audit trail that was handed to a gateway from above, by the name of what opens it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput
from esteira.base.optional import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.base.ports import AuditTrail, Clock


def refuse_unknown(target: str) -> None:
    """Raises: BadInput when `target` names nothing that could open a trail; empty is none at all."""
    if target:
        _opening(target)


def audit_trails(target: str, url: str, clock: Clock) -> Callable[[str], AuditTrail] | None:
    """What opens the trail of an actor on the audit store `url`; None without a target.

    Raises: BadInput.
    >>> audit_trails("", "sqlite:audit.db", clock=None) is None
    True
    """
    return partial(_opening(target), url, clock) if target else None


def _opening(target: str) -> Callable[..., AuditTrail]:
    module, separator, name = target.partition(":")
    try:
        found = load(target) if module and separator and name else None
    except (ImportError, AttributeError, TypeError, ValueError):  # names that are no names, too
        found = None
    if not callable(found):
        raise BadInput(
            f"--audit {target!r} names nothing that opens an audit trail; "
            "give package.module:name, called with the store's URL, a clock and the actor"
        )
    opening: Callable[..., AuditTrail] = found
    return opening
