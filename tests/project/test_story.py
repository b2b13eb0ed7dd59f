from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from esteira.base.databases import open_database
from esteira.project.ring import _TOLD
from esteira.project.story import _TELLINGS, Story, StoryEvent

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
FACTS = {
    "accepted": 1_000,
    "quarantined": 2,
    "table": "flights",
    "version": 3,
    "rows": 60_000,
    "until": "2013-07-01",
    "metrics": "roc_auc 0.7",
    "reason": "why",
    "monitor": "drift",
    "subject": "temp",
    "message": "temp moved",
    "share": 0.25,
}


@pytest.fixture
def story(state_url: str) -> Story:
    return Story(open_database(state_url))


@pytest.mark.parametrize("kind", _TELLINGS)
def test_every_kind_is_told_in_both_languages_with_the_same_facts(kind: str) -> None:
    english, portuguese = (sorted(re.findall(r"{(\w+)", text)) for text in _TELLINGS[kind])
    assert english == portuguese
    told = {StoryEvent(1, NOON, kind, FACTS).tell(language) for language in ("en", "pt-BR")}
    assert len(told) == 2
    assert not any("{" in text for text in told)


def test_all_that_the_loop_says_has_a_telling() -> None:
    assert set(_TOLD.values()) <= set(_TELLINGS)


def test_numbers_are_told_as_people_write_them() -> None:
    event = StoryEvent(1, NOON, "canary", FACTS)
    assert event.tell() == "canary of version 3 begins with 25% of the traffic"
    assert event.tell("pt-BR") == "o canário da versão 3 começa com 25% do tráfego"


def test_an_event_is_kept_with_its_facts(story: Story) -> None:
    added = story.add(NOON, "alarm", monitor="drift", message="vento e pressão")
    assert story.events() == [added]
    assert added.is_alarming
    assert not story.add(NOON, "deployed", version=1, reason="first").is_alarming


def test_a_reader_goes_on_where_it_stopped_and_may_want_the_newest_only(story: Story) -> None:
    added = [story.add(NOON, "retraining", reason=str(number)) for number in range(5)]
    assert story.events(after=added[2].seq) == added[3:]
    assert story.events(newest=2) == added[3:]
    assert story.events(after=added[4].seq) == []
