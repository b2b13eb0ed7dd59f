"""What every AuditTrail must do."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from esteira.base.clock import SimulatedClock
from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.ports import AuditTrail, Clock

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)


class AuditTrailContract:
    """Subclass it and give `open`."""

    def open(self, folder: Path, clock: Clock, actor: str) -> AuditTrail:
        raise NotImplementedError

    @pytest.fixture
    def trail(self, tmp_path: Path) -> AuditTrail:
        return self.open(tmp_path, SimulatedClock(start=NOON), "ana")

    def test_a_record_says_who_did_what_to_which_thing_when_and_why(self, trail: AuditTrail) -> None:
        event = trail.record("model.promote", "late@2", reason="better", facts={"roc_auc": 0.75})
        assert (event.actor, event.action, event.resource, event.reason) == (
            "ana",
            "model.promote",
            "late@2",
            "better",
        )
        assert event.at == NOON
        assert event.facts == {"roc_auc": 0.75}

    def test_records_are_numbered_from_one_and_each_names_the_one_before(self, trail: AuditTrail) -> None:
        events = [trail.record("data.append", f"flights@{n}") for n in range(4)]
        assert [event.seq for event in events] == [1, 2, 3, 4]
        assert [event.previous for event in events[1:]] == [event.digest for event in events[:-1]]

    def test_times_and_nested_records_are_kept_as_json_values(self, trail: AuditTrail) -> None:
        event = trail.record("data.append", "flights@1", facts={"at": NOON, "rows": (1, {"a": None})})
        assert event.facts == {"at": "2013-07-01T12:00:00+00:00", "rows": [1, {"a": None}]}

    @pytest.mark.parametrize("fact", [math.nan, math.inf, object(), b"bytes", "\ud800"])
    def test_a_fact_without_json_spelling_is_refused_and_leaves_no_record(
        self, trail: AuditTrail, fact: object
    ) -> None:
        with pytest.raises(BadInput, match="JSON"):
            trail.record("data.append", "flights@1", facts={"fact": fact})
        assert trail.record("data.append", "flights@1").seq == 1
