from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.serving.workers import ROW, Team, look, revision
from tests.serving.worlds import tree_score

from esteira.serving.live.failures import Failures
from esteira.serving.live.routes import LiveLimits, LiveRoutes

if TYPE_CHECKING:
    from collections.abc import Iterator

ENOUGH = 40  # looks in which everything that can settle does


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.fixture
def pair(team: Team) -> Iterator[tuple[LiveRoutes, LiveRoutes]]:
    team.deploy(-1.0)
    one, other = team.worker("w1"), team.worker("w2")
    look(one, other, times=ENOUGH)
    yield one, other
    one.close()
    other.close()


def until_served(*workers: LiveRoutes, revision_: int) -> None:
    for _ in range(200):
        look(*workers)
        if all(revision(each) == revision_ for each in workers):
            return
    assert [revision(each) for each in workers] == [revision_] * len(workers)


def test_no_worker_serves_what_another_has_not_loaded(
    pair: tuple[LiveRoutes, LiveRoutes], team: Team
) -> None:
    one, other = pair
    team.deploy(-2.0)
    look(one, times=ENOUGH)
    assert (revision(one), revision(other)) == (1, 1)
    until_served(one, other, revision_=2)


def test_what_one_worker_cannot_load_none_takes_up(pair: tuple[LiveRoutes, LiveRoutes], team: Team) -> None:
    one, other = pair
    routes = team.deploy(-2.0)
    look(one, times=ENOUGH)  # it has it in memory
    place = team.hide(routes)
    look(one, other, times=ENOUGH)
    assert (revision(one), revision(other)) == (1, 1)
    assert "corrupt" in other.failures["late"].reason
    assert "another worker" in one.failures["late"].reason
    team.show(place)
    until_served(one, other, revision_=2)  # after the pause
    assert (one.failures, other.failures) == ({}, {})


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esteira.serving.live.failures.RETRY_S", 0.2)


def test_newer_routes_after_ones_that_failed_are_taken_up(
    pair: tuple[LiveRoutes, LiveRoutes], team: Team
) -> None:
    one, other = pair
    team.hide(team.deploy(-2.0))
    look(one, other, times=ENOUGH)
    team.deploy(-3.0)
    until_served(one, other, revision_=3)
    assert one.models["late"].champion.runtime.predict_row(ROW) == tree_score(-3.0)


def test_a_dead_worker_holds_nobody_up(pair: tuple[LiveRoutes, LiveRoutes], team: Team) -> None:
    one, other = pair
    other._agreement.close()
    team.deploy(-2.0)
    until_served(one, revision_=2)


def test_who_joins_takes_up_what_the_others_serve_and_not_what_they_refused(
    pair: tuple[LiveRoutes, LiveRoutes], team: Team
) -> None:
    one, other = pair
    team.hide(team.deploy(-2.0))
    look(one, other, times=ENOUGH)
    joined = team.worker("w3")
    joined.refresh(2)
    assert revision(joined) == 1
    assert joined.failures["late"].revision == 2
    joined.close()


def test_workers_at_different_revisions_meet_at_the_newer(
    pair: tuple[LiveRoutes, LiveRoutes], team: Team
) -> None:
    one, other = pair
    team.deploy(-2.0)
    look(one, times=ENOUGH)  # ready for 2
    team.deploy(-3.0)
    look(other, times=ENOUGH)  # ready for 3, and has never heard of 2
    until_served(one, other, revision_=3)


def test_a_model_that_was_unloaded_leaves_every_memory_and_comes_back_when_all_have_it(
    pair: tuple[LiveRoutes, LiveRoutes], team: Team
) -> None:
    one, other = pair
    team.routes.set_unloaded("late", is_unloaded=True)
    look(one, other, times=3)
    assert (dict(one.models), dict(other.models)) == ({}, {})
    assert "POST /v2/repository/models/late/load" in str(one.absent("late"))
    team.routes.set_unloaded("late", is_unloaded=False)
    look(one, times=ENOUGH)
    assert revision(one) == 0  # the other does not have it yet
    until_served(one, other, revision_=1)


@pytest.mark.parametrize("hears_first", [False, True], ids=["of the store", "of the other"])
def test_who_still_holds_a_model_that_was_unloaded_is_known_until_it_let_go(
    pair: tuple[LiveRoutes, LiveRoutes],
    team: Team,
    hears_first: bool,
) -> None:
    one, other = pair
    assert [each[:3] for each in one.holders("late")] == ["w1-", "w2-"]
    team.routes.set_unloaded("late", is_unloaded=True)
    look(one)
    assert [each[:3] for each in one.holders("late")] == ["w2-"]
    if hears_first:
        other._uptake._exchange()
    look(other)
    assert one.holders("late") == other.holders("late") == []
    team.routes.set_unloaded("late", is_unloaded=False)
    until_served(one, other, revision_=1)
    look(one, other)
    other.close()
    assert [each[:3] for each in one.holders("late")] == ["w1-"]


def test_a_worker_that_does_not_answer_is_named(team: Team) -> None:
    limits = LiveLimits(load_s=0.05)
    team.deploy(-1.0)
    one, other = team.worker("w1", limits), team.worker("stuck", limits)
    look(one, times=ENOUGH)
    assert "stuck-" in one.failures["late"].reason
    until_served(one, other, revision_=1)
    assert one.failures == {}
    one.close()
    other.close()


def test_a_failure_is_retried_with_pauses_that_grow(
    pair: tuple[LiveRoutes, LiveRoutes], team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = pair
    tries: list[int] = []
    report = Failures.report

    def reported(self: Failures, model: str, revision: int, failure: Exception) -> object:
        tries.append(revision)
        return report(self, model, revision, failure)

    monkeypatch.setattr(Failures, "report", reported)
    other._agreement.close()
    team.hide(team.deploy(-2.0))
    look(one, times=3 * ENOUGH)
    assert len(tries) <= 3
    assert one.failures["late"].attempts == len(tries)


class Swaps(RuleBasedStateMachine):
    """Workers that look, die and come in any order, while routes change and some cannot be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.team = Team(Path(self.home.name))
        self.workers: list[LiveRoutes] = []
        self.served: dict[int, int] = {}
        self.count = 0
        self.newest = self.team.deploy(-1.0)

    @precondition(lambda self: len(self.workers) < 3)
    @rule()
    def come(self) -> None:
        self.count += 1
        self.workers.append(self.team.worker(f"w{self.count}"))

    @precondition(lambda self: len(self.workers) > 0)
    @rule(which=st.integers(0, 2))
    def die(self, which: int) -> None:
        worker = self.workers.pop(which % len(self.workers))
        worker._agreement.close()

    @precondition(lambda self: len(self.workers) > 0)
    @rule(which=st.integers(0, 2), times=st.integers(1, 6))
    def look(self, which: int, times: int) -> None:
        worker = self.workers[which % len(self.workers)]
        before = revision(worker)
        for _ in range(times):
            look(worker)
            now = revision(worker)
            assert now >= before
            if now > before:
                self.every_live_worker_has(now)
            before = now

    @rule(is_broken=st.booleans())
    def deploy(self, is_broken: bool) -> None:
        self.newest = self.team.deploy(-2.0 - self.newest.revision)
        if is_broken:
            self.team.hide(self.newest)
            self.newest = self.team.deploy(-1.5 - self.newest.revision)

    def every_live_worker_has(self, served: int) -> None:
        for each in self.workers:
            candidate = each._uptake.candidates.get("late")
            has_it = candidate is not None and candidate.revision == served and candidate.is_ready
            came_later = not each._uptake.agreed  # has not looked since it joined: it serves nothing
            assert has_it or revision(each) >= served or came_later or self.loads_what_is_agreed(each, served)

    def loads_what_is_agreed(self, worker: LiveRoutes, served: int) -> bool:
        return revision(worker) == 0 and worker._uptake.agreed.get("late", 0) >= 1 and served >= 1

    @invariant()
    def workers_that_look_long_enough_serve_one_revision(self) -> None:
        if self.count % 3 == 2:
            self.settle()

    def settle(self) -> None:
        for _ in range(300):
            look(*self.workers)
            if all(revision(each) == self.newest.revision for each in self.workers):
                return
        assert [revision(each) for each in self.workers] == [self.newest.revision] * len(self.workers)

    def teardown(self) -> None:
        self.settle()
        for each in self.workers:
            each.close()
        self.home.cleanup()


TestSwaps = pytest.mark.slow(Swaps.TestCase)
TestSwaps.settings = settings(
    max_examples=10, stateful_step_count=20, suppress_health_check=[HealthCheck.too_slow]
)
