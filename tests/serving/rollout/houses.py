"""A store of rollouts with its clock and its ledger, as several tests use it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from esteira.base.clock import SimulatedClock
from esteira.governance.ledger import AuditLedger
from esteira.serving.rollout.state import RolloutState
from esteira.serving.rollout.store import RolloutStore
from esteira.serving.rollout.strategies import Canary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from esteira.base.ports import AuditTrail
    from esteira.base.records import AuditEvent
    from esteira.serving.rollout.plan import RolloutPlan
    from esteira.serving.rollout.state import Rollout

START = datetime(2013, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PLAN = Canary((0.05, 0.25, 1.0), bake=DAY, minimum=200, max_duration=timedelta(days=28))
RUNNING, PAUSED = RolloutState.RUNNING, RolloutState.PAUSED
PROMOTED, ROLLED_BACK = RolloutState.PROMOTED, RolloutState.ROLLED_BACK


class House:
    """A store with its clock and its ledger, that can be opened again as after a crash."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.clock = SimulatedClock(start=START)
        self.ledger = AuditLedger(f"sqlite:{folder}/audit.db", self.clock, "ring")
        self.store = self.open()

    def open(self, audit: AuditTrail | None = None) -> RolloutStore:
        return RolloutStore(self.url, audit or self.ledger, self.clock)

    def recorded(self) -> list[str]:
        return [event.action for event in self.ledger.events()]

    def begun(self, plan: RolloutPlan = PLAN) -> Rollout:
        return self.store.advance(self.store.start("late", 1, 2, plan), "begin")


class KilledWhileRecording:
    """An audit trail that writes its record, and then the machine goes off."""

    def __init__(self, ledger: AuditLedger) -> None:
        self.ledger = ledger

    def record(
        self, action: str, resource: str, *, reason: str = "", facts: Mapping[str, object] | None = None
    ) -> AuditEvent:
        self.ledger.record(action, resource, reason=reason, facts=facts)
        raise KeyboardInterrupt
