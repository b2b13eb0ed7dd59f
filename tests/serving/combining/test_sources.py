from __future__ import annotations

import logging
import math
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.combining.models import Moody, same_columns

from esteira.base.errors import BadInput
from esteira.serving.combining.failures import MemberBusy, MemberLate, NotFinite
from esteira.serving.combining.passes import ManyRows, OneRow
from esteira.serving.combining.sources import InlineMember, TimedMember, scores_of


def inline(scorer: Moody) -> InlineMember:
    return InlineMember("m", scorer, same_columns())


def timed(scorer: Moody, deadline_ms: float = 2000) -> TimedMember:
    return TimedMember("m", scorer, same_columns(), 0, deadline_ms)


def ask(member: InlineMember | TimedMember, value: float) -> tuple[float, dict[str, Exception]]:
    one = OneRow([member], [value])
    return one.value(0), one.failures


def ask_many(member: InlineMember | TimedMember, *values: float) -> tuple[list[float], dict[str, Exception]]:
    many = ManyRows([member], np.array([values]).T)
    return many.values(0, np.arange(len(values))).tolist(), many.failures


@pytest.mark.parametrize("kind", [inline, timed])
def test_a_member_gives_a_score_or_a_reason(kind: type) -> None:
    member = kind(Moody())
    assert ask(member, 0.5) == (0.5, {})
    assert ask_many(member, 0.5, 0.75) == ([0.5, 0.75], {})
    for value, reason in ((Moody.REFUSES, BadInput), (Moody.BREAKS, RuntimeError), (Moody.NAN, NotFinite)):
        score, failures = ask(member, value)
        assert math.isnan(score)
        assert isinstance(failures["m"], reason)


@pytest.mark.parametrize("kind", [inline, timed])
def test_a_row_that_is_refused_or_scores_nothing_costs_no_other_row_its_score(kind: type) -> None:
    member = kind(Moody())
    values = [0.1, Moody.REFUSES, 0.2, Moody.NAN, 0.3, 0.4, Moody.REFUSES]
    scores, failures = ask_many(member, *values)
    assert repr(scores) == repr([0.1, math.nan, 0.2, math.nan, 0.3, 0.4, math.nan])
    assert isinstance(failures["m"], BadInput)


@pytest.mark.parametrize("kind", [inline, timed])
def test_a_broken_member_gives_nothing_to_any_row(kind: type) -> None:
    scores, failures = ask_many(kind(Moody()), 0.1, Moody.BREAKS)
    assert np.isnan(scores).all()
    assert isinstance(failures["m"], RuntimeError)


MOODS = st.lists(st.floats(0, 1) | st.sampled_from([Moody.REFUSES, Moody.NAN]), max_size=40)


@given(MOODS)
def test_each_row_of_a_batch_gets_what_it_gets_alone(values: list[float]) -> None:
    alone = [ask(inline(Moody()), value)[0] for value in values]
    assert repr(ask_many(inline(Moody()), *values)[0]) == repr(alone)


def test_a_batch_that_is_not_refused_is_one_call_and_one_bad_row_costs_few_more() -> None:
    moody = Moody()
    scores_of(moody, np.ones((1024, 1)))
    assert moody.asked == 1
    matrix = np.ones((1024, 1))
    matrix[700] = Moody.REFUSES
    scores, refused = scores_of(moody, matrix)
    assert (np.isnan(scores).sum(), len(refused)) == (1, 1)
    assert moody.asked <= 1 + 21


def test_without_a_deadline_nothing_leaves_the_thread_and_with_one_all_does() -> None:
    here, there = Moody(), Moody()
    ask(inline(here), 0.5)
    ask_many(timed(there), 0.5)
    assert here.threads == {threading.get_ident()}
    assert threading.get_ident() not in there.threads


def test_a_late_member_is_given_up_skipped_while_it_is_busy_and_asked_again_when_it_is_back() -> None:
    member = timed(Moody(sleeps_s=0.4), deadline_ms=50)
    assert isinstance(ask(member, Moody.SLEEPS)[1]["m"], MemberLate)
    began = time.monotonic()
    assert isinstance(ask(member, 0.5)[1]["m"], MemberBusy)
    assert isinstance(ask_many(member, 0.5, 0.5)[1]["m"], MemberBusy)
    assert time.monotonic() - began < 0.1
    time.sleep(0.5)
    assert ask(member, 0.5) == (0.5, {})


def test_what_was_begun_is_not_asked_again() -> None:
    moody = Moody()
    member = timed(moody)
    one = OneRow([member], [0.5])
    one.begin(0)
    one.begin(0)
    assert one.value(0) == 0.5
    many = ManyRows([member], np.array([[0.1], [0.2], [0.3]]))
    many.begin(0, np.array([0, 1]))
    assert many.values(0, np.array([1, 2])).tolist() == [0.2, 0.3]
    assert many.given[0].tolist() == [0.1, 0.2, 0.3]
    assert moody.asked == 3


def test_a_busy_member_that_was_to_be_begun_says_so_once_it_is_asked() -> None:
    member = timed(Moody(sleeps_s=0.4), deadline_ms=20)
    ask(member, Moody.SLEEPS)
    one, many = OneRow([member], [0.5]), ManyRows([member], np.array([[0.5]]))
    one.begin(0)
    many.begin(0, np.array([0]))
    assert math.isnan(one.value(0))
    assert np.isnan(many.values(0, np.array([0]))).all()
    assert isinstance(one.failures["m"], MemberBusy)
    assert isinstance(many.failures["m"], MemberBusy)


def test_the_first_call_may_take_longer_than_its_deadline_when_it_warms() -> None:
    moody = Moody(sleeps_s=0.2)
    member = timed(moody, deadline_ms=50)
    member.warm([Moody.SLEEPS])
    assert ask(member, 0.5) == (0.5, {})
    member.warm([Moody.BREAKS])
    assert moody.asked == 3


def test_the_log_says_once_that_a_member_fails_and_once_that_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    member = inline(Moody())
    for value in (Moody.REFUSES, Moody.BREAKS, Moody.BREAKS, Moody.NAN, 0.5, 0.5):
        ask(member, value)
    ask_many(member, Moody.NAN)
    ask_many(member, 0.5)
    said = ["a member gives no scores", "a member gives scores again"] * 2
    assert [each.getMessage() for each in caplog.records] == said
    assert caplog.records[0].__dict__["member"] == "m"
