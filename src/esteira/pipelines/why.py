"""Why a step ran or did not, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esteira.base.digest import canonical_json
from esteira.pipelines.graph import UnknownStep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.pipelines.journal import Journal

HIT = "hit"
FIRST = "ran: first time"
AGAIN = "ran: the cache was not to be used"
CORRUPT = "ran: its stored result is corrupt"
MISSING = "ran: its stored result is gone"
_SHOWN = 3  # names in one line


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What differs between the parts of two keys, as the reason for a run.

    >>> old = {"code": {"m.f": "1"}, "inputs": {"flights": "flights@3"}, "python": "3.11"}
    >>> changes(old, {"code": {"m.f": "2"}, "inputs": {"flights": "flights@4"}, "python": "3.11"})
    'ran: code changed: m.f; input flights changed'
    """
    said = [f"code changed: {_listed(names)}" for names in [_differing(before, after, "code")] if names]
    said += [f"parameter {name} changed" for name in _differing(before, after, "parameters")]
    said += [f"input {name} changed" for name in _differing(before, after, "inputs")]
    old, new = before.get("versions", {}), after.get("versions", {})
    for name in _differing(before, after, "versions"):
        said.append(f"{name} changed from {old.get(name, 'none')} to {new.get(name, 'none')}")
    if before.get("python") != after.get("python"):
        said.append(f"Python changed from {before.get('python')} to {after.get('python')}")
    return f"ran: {'; '.join(said)}" if said else MISSING


def why(journal: Journal, run_id: str, step: str) -> str:
    """Why a step of a run ran or did not. Raises: NotFound (run), UnknownStep (not in that run)."""
    journal.run(run_id)
    reasons = {record.step: record.reason for record in journal.steps(run_id)}
    if step not in reasons:
        raise UnknownStep(step, reasons)
    return reasons[step]


def _differing(before: Mapping[str, Any], after: Mapping[str, Any], part: str) -> list[str]:
    old, new = before.get(part, {}), after.get(part, {})
    return [
        name
        for name in sorted({*old, *new})
        if canonical_json(old.get(name)) != canonical_json(new.get(name))  # 7, 7.0 and True are three values
    ]


def _listed(names: list[str]) -> str:
    """Names of code without the counter that tells two functions of one name apart."""
    plain = list(dict.fromkeys(name.partition("#")[0] for name in names))
    more = f" and {len(plain) - _SHOWN} more" if len(plain) > _SHOWN else ""
    return ", ".join(plain[:_SHOWN]) + more
