from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from esteira.base.errors import BadInput, EsteiraError
from esteira.retraining.attempts import (
    Attempt,
    AttemptJournal,
    AttemptMoved,
    AttemptState,
    Candidate,
    IllegalStep,
    LoopEvent,
    Outcome,
)

NOW = datetime(2013, 7, 1, tzinfo=UTC)
S = AttemptState
TO_THE_CANARY = [S.TRAINED, S.GATED, S.ROLLING]
ROAD = {
    S.TRAINING: [],
    S.TRAINED: [S.TRAINED],
    S.GATED: [S.TRAINED, S.GATED],
    S.ROLLING: TO_THE_CANARY,
    S.WIDENING: [*TO_THE_CANARY, S.WIDENING],
    S.PROMOTING: [*TO_THE_CANARY, S.PROMOTING],
    S.ROLLING_BACK: [*TO_THE_CANARY, S.ROLLING_BACK],
}


@pytest.fixture
def journal(state_url: str) -> AttemptJournal:
    return AttemptJournal(state_url)


def moved(
    journal: AttemptJournal, before: Attempt, state: AttemptState, outcome: Outcome | None = None
) -> Attempt:
    after = replace(before, state=state, outcome=outcome, ended_at=NOW if outcome else None)
    journal.move(before, after, LoopEvent(state.value, "", {"n": 1}, NOW, before.id))
    return after


def brought_to(journal: AttemptJournal, state: AttemptState) -> Attempt:
    attempt = journal.begin("late", "an alert", NOW)
    for each in ROAD[state]:
        attempt = moved(journal, attempt, each)
    return attempt


def test_an_attempt_reads_back_as_it_was_written(journal: AttemptJournal, state_url: str) -> None:
    begun = journal.begin("late", "roc_auc fell", NOW)
    assert (begun.state, begun.candidate, begun.outcome) == (S.TRAINING, None, None)
    after = replace(begun, state=S.TRAINED, candidate=Candidate(4, "run-1", {"rows": 7, "auc": 0.75}))
    journal.move(begun, after, LoopEvent("trained", "version 4", {"version": 4}, NOW, begun.id))
    again = AttemptJournal(state_url)
    assert again.open_attempt("late") == after
    assert again.history("late") == [after]
    assert [event.kind for event in again.events("late")] == ["began", "trained"]
    assert again.events("late", limit=1)[0].facts == {"version": 4}


def test_models_do_not_see_each_others_attempts(journal: AttemptJournal) -> None:
    journal.begin("late", "", NOW)
    assert journal.open_attempt("early") is None
    assert journal.history("early") == []
    assert journal.events("early") == []


def test_a_model_has_one_open_attempt(journal: AttemptJournal) -> None:
    journal.begin("late", "", NOW)
    with pytest.raises(EsteiraError):
        journal.begin("late", "", NOW + timedelta(days=1))
    assert len(journal.history("late")) == 1


def test_attempts_that_follow_each_other_within_one_tick_are_different(journal: AttemptJournal) -> None:
    begun = []
    for _ in range(5):
        begun.append(journal.begin("late", "", NOW))
        moved(journal, begun[-1], S.ENDED, Outcome.FAILED)
    assert len({attempt.id for attempt in begun}) == 5
    assert [attempt.id for attempt in journal.history("late")] == [attempt.id for attempt in begun]


@pytest.mark.parametrize("start", list(ROAD))
def test_there_is_one_way_to_promotion(journal: AttemptJournal, start: AttemptState) -> None:
    attempt = brought_to(journal, start)
    if start is S.PROMOTING:
        assert moved(journal, attempt, S.ENDED, Outcome.PROMOTED).outcome is Outcome.PROMOTED
        assert journal.open_attempt("late") is None
        return
    with pytest.raises(IllegalStep, match="cannot go"):
        moved(journal, attempt, S.ENDED, Outcome.PROMOTED)
    assert journal.open_attempt("late") == attempt


def test_promoting_is_reached_from_a_canary_only(journal: AttemptJournal) -> None:
    assert moved(journal, brought_to(journal, S.ROLLING), S.PROMOTING).state is S.PROMOTING


@pytest.mark.parametrize("start", [s for s in ROAD if s is not S.ROLLING])
def test_promoting_is_reached_from_nowhere_else(journal: AttemptJournal, start: AttemptState) -> None:
    with pytest.raises(IllegalStep):
        moved(journal, brought_to(journal, start), S.PROMOTING)


@pytest.mark.parametrize(("state", "outcome"), list(product([s for s in S if s is not S.ENDED], Outcome)))
def test_an_outcome_belongs_to_the_end(
    journal: AttemptJournal, state: AttemptState, outcome: Outcome
) -> None:
    with pytest.raises(IllegalStep):
        moved(journal, journal.begin("late", "", NOW), state, outcome)


def test_an_end_has_an_outcome_and_is_final(journal: AttemptJournal) -> None:
    attempt = journal.begin("late", "", NOW)
    with pytest.raises(IllegalStep):
        moved(journal, attempt, S.ENDED)
    ended = moved(journal, attempt, S.ENDED, Outcome.FAILED)
    with pytest.raises(IllegalStep):
        moved(journal, ended, S.TRAINING)


def test_a_move_that_another_process_made_first_is_not_made_again(journal: AttemptJournal) -> None:
    stale = journal.begin("late", "", NOW)
    moved(journal, stale, S.TRAINED)
    with pytest.raises(AttemptMoved, match="one loop per project"):
        moved(journal, stale, S.TRAINED)
    assert [event.kind for event in journal.events("late")] == ["began", "trained"]


def test_facts_that_are_no_json_leave_the_attempt_where_it_stood(journal: AttemptJournal) -> None:
    before = journal.begin("late", "", NOW)
    after = replace(before, state=S.TRAINED)
    with pytest.raises(BadInput, match="JSON"):
        journal.move(before, after, LoopEvent("trained", "", {"auc": float("nan")}, NOW, before.id))
    assert journal.open_attempt("late") == before
