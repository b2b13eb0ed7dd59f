"""What a room wishes from above, or must work without; `project` hands over the real thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from esteira.base.records import Alert, AuditEvent, PredictedRows, Prediction


class Clock(Protocol):
    """Tells the time in UTC."""

    def now(self) -> datetime: ...
    def micros(self) -> int: ...


class AuditTrail(Protocol):
    """Keeps what was changed, by whom and why; a change is recorded before it takes effect."""

    def record(
        self, action: str, resource: str, *, reason: str = "", facts: Mapping[str, object] | None = None
    ) -> AuditEvent: ...


class Authorizer(Protocol):
    """Says whether an actor may do an action on a resource."""

    def allows(self, actor: str, action: str, resource: str) -> bool: ...


class PredictionSink(Protocol):
    """Takes predictions off the hot path; `write` never blocks on a disk."""

    def write(self, record: Prediction | PredictedRows) -> None: ...
    def close(self) -> None: ...


class Notifier(Protocol):
    """Tells people of an alert."""

    def notify(self, alert: Alert) -> None: ...


class SubjectStore(Protocol):
    """Holds data of a person and can hand it out or erase it."""

    def export_subject(self, subject: str) -> Mapping[str, object]: ...
    def erase_subject(self, subject: str) -> int: ...


class Storable(Protocol):
    """An artifact that knows its own files: pipelines store it without knowing what it is. No pickle."""

    def save(self, folder: Path) -> None: ...
    @classmethod
    def load(cls, folder: Path) -> Self: ...
