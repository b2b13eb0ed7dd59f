"""What was changed of a model's routes, when, by whom and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from esteira.base.records import AuditEvent
    from esteira.governance.ledger import AuditLedger
    from esteira.serving.routes import Routes, RouteStore

SET, LOAD, UNLOAD = "routes.set", "model.load", "model.unload"
NEWEST = 10
_RECORDS = 200  # of a model that are looked through


@dataclass(frozen=True, slots=True)
class RouteChange:
    """A revision of the routes with its audit record, or a load or an unload; either may be unknown."""

    action: str
    routes: Routes | None = None
    record: AuditEvent | None = None

    @property
    def at(self) -> datetime | None:
        return None if self.record is None else self.record.at


def changes(store: RouteStore, audit: AuditLedger, model: str, newest: int = NEWEST) -> list[RouteChange]:
    """The newest changes of a model, newest first. Raises: StorageUnwritable, CorruptArtifact.

    A record is written before what it tells of takes effect, so each revision belongs to the newest record
    of the same shares that is not another's; a record whose change was cut off belongs to none.
    """
    records = list(reversed(audit.events(_RECORDS, resource=f"model/{model}")))
    last = store.revision(model)
    revisions = [store.get(model, each) for each in range(last, max(last - newest, 0), -1)]
    return merged([each for each in revisions if each is not None], records)[:newest]


def merged(revisions: Sequence[Routes], records: Sequence[AuditEvent]) -> list[RouteChange]:
    """Revisions and records of one model, both newest first, as changes, newest first."""
    found: list[RouteChange] = []
    waiting = [each for each in records if each.action in {SET, LOAD, UNLOAD}]
    for routes in revisions:
        own = next((at for at, each in enumerate(waiting) if _tells_of(each, routes)), None)
        if own is None:
            found.append(RouteChange(SET, routes))
            continue
        passed = (each for each in waiting[:own] if each.action != SET)
        found += [RouteChange(each.action, None, each) for each in passed]
        found.append(RouteChange(SET, routes, waiting[own]))
        waiting = waiting[own + 1 :]
    return found + [RouteChange(each.action, None, each) for each in waiting if each.action != SET]


def _tells_of(record: AuditEvent, routes: Routes) -> bool:
    shares = {f"{arm.name}:{arm.version}": arm.share for arm in routes.arms}
    return record.action == SET and record.facts.get("shares") == shares
