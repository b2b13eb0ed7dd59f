from __future__ import annotations

import itertools
import math
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.base.databases import open_database
from esteira.base.errors import BadInput, NaiveTime
from esteira.base.records import Alert, AlertState
from esteira.monitoring.alerts import AlertMachine, Transition

OK, PENDING, FIRING, RESOLVING = AlertState.OK, AlertState.PENDING, AlertState.FIRING, AlertState.RESOLVING
START = datetime(2013, 4, 1, tzinfo=UTC)
LEGAL = {
    (OK, PENDING), (PENDING, OK), (PENDING, FIRING),
    (FIRING, RESOLVING), (RESOLVING, FIRING), (RESOLVING, OK),
}  # fmt: skip
WITHOUT_DWELL = {(OK, FIRING), (FIRING, OK)}
ENTER, EXIT = 1.0, 0.5


def _machine(url: str, dwell: int = 2) -> AlertMachine:
    return AlertMachine(open_database(url), dwell=dwell)


class Watch:
    """One subject, observed a day apart."""

    def __init__(self, machine: AlertMachine) -> None:
        self.machine, self.days = machine, itertools.count()

    def see(self, value: float, **asked: Any) -> AlertState:
        now = START + timedelta(days=next(self.days))
        usual = {"enter": ENTER, "exit": EXIT, "now": now, "message": f"psi {value}"}
        return self.machine.observe("drift", "miles", value=value, **{**usual, **asked}).state


def test_an_alert_fires_only_after_its_dwell_and_resolves_only_after_it(state_url: str) -> None:
    watch = Watch(_machine(state_url))
    seen = [watch.see(value) for value in (0.1, 1.1, 1.2, 1.3, 0.4, 0.3, 0.2)]
    assert seen == [OK, PENDING, FIRING, FIRING, RESOLVING, OK, OK]


def test_one_bad_window_between_good_ones_does_not_fire(state_url: str) -> None:
    watch = Watch(_machine(state_url))
    assert [watch.see(value) for value in (1.1, 0.9, 1.1, 0.1, 1.1)] == [PENDING, OK, PENDING, OK, PENDING]


def test_between_the_thresholds_an_alert_stays_what_it_is(state_url: str) -> None:
    watch = Watch(_machine(state_url))
    seen = [watch.see(value) for value in (0.7, 1.1, 1.1, 0.7, 0.9, 0.4, 0.7, 0.4, 0.4, 0.7)]
    assert seen == [OK, PENDING, FIRING, FIRING, FIRING, RESOLVING, FIRING, RESOLVING, OK, OK]


def test_a_value_on_a_threshold_does_not_enter_and_does_leave(state_url: str) -> None:
    watch = Watch(_machine(state_url, dwell=1))
    assert [watch.see(value) for value in (ENTER, 1.01, EXIT)] == [OK, FIRING, OK]


def test_where_enter_is_below_exit_low_is_bad(state_url: str) -> None:
    watch = Watch(_machine(state_url, dwell=1))
    seen = [watch.see(auc, enter=0.65, exit=0.68) for auc in (0.7, 0.66, 0.64, 0.67, 0.69)]
    assert seen == [OK, OK, FIRING, FIRING, OK]


def test_with_one_threshold_for_both_high_is_bad(state_url: str) -> None:
    watch = Watch(_machine(state_url, dwell=1))
    assert [watch.see(loss, enter=0.0, exit=0.0) for loss in (-0.1, 0.1, 0.0)] == [OK, FIRING, OK]


def test_missing_data_neither_fires_nor_resolves(state_url: str) -> None:
    watch = Watch(_machine(state_url))
    assert watch.see(math.nan, enough=False) is OK
    watch.see(1.1)
    assert watch.see(9.9, enough=False) is PENDING
    assert watch.see(1.1) is FIRING
    for _ in range(10):
        assert watch.see(0.0, enough=False) is FIRING
    watch.see(0.1)
    assert watch.see(0.0, enough=False) is RESOLVING
    assert watch.see(0.1) is OK


def test_an_observation_repeated_after_a_crash_counts_once(state_url: str) -> None:
    watch = Watch(_machine(state_url))
    for _ in range(3):
        assert watch.see(1.1, now=START) is PENDING
    assert watch.see(0.0, now=START - timedelta(days=1)) is PENDING
    assert len(watch.machine.history()) == 1


def test_two_windows_judged_in_one_go_count_twice(state_url: str) -> None:
    watch = Watch(_machine(state_url))
    assert [watch.see(value, now=START) for value in (1.1, 1.2)] == [PENDING, FIRING]


def test_a_window_whose_labels_came_later_is_observed_then(state_url: str) -> None:
    watch = Watch(_machine(state_url, dwell=1))
    assert watch.see(0.0, now=START, enough=False) is OK
    assert watch.see(1.1, now=START) is FIRING


def test_every_change_is_kept_with_its_time_and_evidence(state_url: str) -> None:
    watch = Watch(_machine(state_url))
    for value in (0.1, 1.1, 1.2, 0.4):
        watch.see(value)
    day = timedelta(days=1)
    assert watch.machine.history() == [
        Transition("drift", "miles", OK, PENDING, START + day, 1.1, ENTER, "psi 1.1"),
        Transition("drift", "miles", PENDING, FIRING, START + 2 * day, 1.2, ENTER, "psi 1.2"),
        Transition("drift", "miles", FIRING, RESOLVING, START + 3 * day, 0.4, EXIT, "psi 0.4"),
    ]
    alert = Alert("drift", "miles", RESOLVING, START + 3 * day, 0.4, EXIT, "psi 0.4")
    assert watch.machine.alerts() == [alert]


def test_subjects_do_not_disturb_each_other(state_url: str) -> None:
    machine = _machine(state_url, dwell=1)
    for subject, value in (("rain", 2.0), ("miles", 0.0)):
        machine.observe("drift", subject, value=value, enter=ENTER, exit=EXIT, now=START)
    machine.observe("performance", "miles", value=3.0, enter=ENTER, exit=EXIT, now=START)
    states = [(a.monitor, a.subject, a.state) for a in machine.alerts()]
    assert states == [("drift", "miles", OK), ("drift", "rain", FIRING), ("performance", "miles", FIRING)]


def test_a_firing_alert_survives_a_restart(state_url: str) -> None:
    before = Watch(_machine(state_url))
    before.see(1.1)
    after = Watch(_machine(state_url))
    next(after.days)
    assert after.see(1.1) is FIRING
    assert _machine(state_url).alerts() == before.machine.alerts()
    assert [each.state for each in _machine(state_url).history()] == [PENDING, FIRING]


SEEN = st.tuples(st.sampled_from([0.1, 0.7, 1.5]), st.booleans())


@settings(max_examples=30, deadline=None)
@given(st.lists(SEEN, max_size=25), st.integers(1, 3), st.integers(0, 25))
def test_only_the_legal_changes_happen_and_only_for_a_reason(
    seen: list[tuple[float, bool]], dwell: int, restart: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        watch, state, since = Watch(_machine(f"sqlite:{folder}/state.db", dwell)), OK, START
        for turn, (value, enough) in enumerate(seen):
            if turn == restart:
                watch.machine = _machine(f"sqlite:{folder}/state.db", dwell)
            changed = watch.see(value, enough=enough)
            if changed is not state:
                assert enough
                assert (state, changed) in (LEGAL if dwell > 1 else WITHOUT_DWELL)
                since = START + timedelta(days=turn)
            if changed is FIRING and state not in (FIRING, RESOLVING):
                assert [v for v, known in seen[: turn + 1] if known][-dwell:] == [1.5] * dwell
            if changed is OK and state in (FIRING, RESOLVING):
                assert [v for v, known in seen[: turn + 1] if known][-dwell:] == [0.1] * dwell
            state = changed
        history = watch.machine.history()
        states = [OK, *(each.state for each in history)]
        assert [each.previous for each in history] == states[:-1]
        assert states[-1] is state
        assert [(a.state, a.since) for a in watch.machine.alerts()] == [(state, since)] * bool(seen)


def test_observers_at_the_same_time_lose_no_observation(state_url: str) -> None:
    def one(number: int) -> None:
        machine = _machine(state_url, dwell=40)
        for turn in range(10):
            value = 2.0 + number + turn / 100
            machine.observe("drift", "miles", value=value, enter=ENTER, exit=EXIT, now=START)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.state for each in _machine(state_url).alerts()] == [FIRING]


def test_what_is_no_observation_is_refused(state_url: str) -> None:
    watch = Watch(_machine(state_url))
    for wrong in (math.nan, math.inf):
        with pytest.raises(BadInput, match="enough=False"):
            watch.see(wrong)
    with pytest.raises(BadInput, match="finite"):
        watch.see(1.0, enter=math.inf)
    with pytest.raises(NaiveTime):
        watch.see(1.0, now=START.replace(tzinfo=None))
    with pytest.raises(BadInput, match="at least one"):
        _machine(state_url, dwell=0)
    assert watch.machine.alerts() == []
