"""Who changed what, when and why: a ledger that only grows and shows when somebody touched it."""

from __future__ import annotations

from esteira.governance.chain import BrokenRecord
from esteira.governance.ledger import AuditLedger, Verified

__all__ = ["AuditLedger", "BrokenRecord", "Verified"]
