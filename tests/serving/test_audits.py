from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.serving.worlds import NOON

from esteira.base.clock import SimulatedClock
from esteira.base.errors import BadInput
from esteira.project.station import AUDIT
from esteira.serving.audits import audit_trails, refuse_unknown

if TYPE_CHECKING:
    from pathlib import Path

WRONG = [
    "x",
    ":",
    "esteira.governance.ledger",
    "esteira.governance.ledger:",
    ":AuditLedger",
    "esteira.governance.ledger:AuditLegder",
    "esteira.governance.legder:AuditLedger",
    "esteira.governance.ledger:__doc__",
    "..ledger:AuditLedger",
    "a b:c",
]


@pytest.mark.parametrize("target", WRONG)
def test_a_name_that_opens_no_trail_is_bad_input(target: str) -> None:
    with pytest.raises(BadInput, match="--audit"):
        refuse_unknown(target)
    with pytest.raises(BadInput, match=r"package\.module:name"):
        audit_trails(target, "sqlite:audit.db", SimulatedClock(start=NOON))


def test_without_a_name_there_is_no_trail() -> None:
    refuse_unknown("")
    assert audit_trails("", "sqlite:audit.db", SimulatedClock(start=NOON)) is None


def test_the_name_that_the_project_hands_over_opens_the_trail_of_an_actor(tmp_path: Path) -> None:
    refuse_unknown(AUDIT)
    trails = audit_trails(AUDIT, f"sqlite:{tmp_path}/audit.db", SimulatedClock(start=NOON))
    assert trails is not None
    trails("key:ana").record("model.load", "model/late")
    event = trails("key:bea").record("model.unload", "model/late", reason="too large")
    assert (event.seq, event.actor, event.at, event.reason) == (2, "key:bea", NOON, "too large")
