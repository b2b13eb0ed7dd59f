from __future__ import annotations

import math

import pytest

from esteira.base.digest import canonical_json
from esteira.serving.rollout.sequences import Interval
from esteira.serving.rollout.verdict import Verdict

NOTHING = Interval(math.nan, -math.inf, math.inf, 0)


def test_the_facts_of_a_verdict_are_json_also_when_nothing_is_known() -> None:
    facts = Verdict("hold", "silence", NOTHING).facts()
    assert (facts["low"], facts["high"], facts["mean"], facts["observations"]) == (None, None, None, 0)
    assert canonical_json(facts)


@pytest.mark.parametrize("kind", ["promote", "roll back", "hold", "widen"])
def test_a_verdict_says_its_word_its_reason_and_its_numbers(kind: str) -> None:
    facts = Verdict(kind, "why", Interval(-0.1, -0.2, 0.0, 7)).facts()
    assert facts == {
        "verdict": kind,
        "reason": "why",
        "mean": -0.1,
        "low": -0.2,
        "high": 0.0,
        "observations": 7,
    }


def test_advice_is_told_only_when_there_is_some() -> None:
    assert "advice" not in Verdict("hold", "silence", NOTHING).facts()
    assert Verdict("hold", "paused", NOTHING, "promote").facts()["advice"] == "promote"
