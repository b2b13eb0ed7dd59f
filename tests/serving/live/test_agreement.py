from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.serving.workers import Team, until

from esteira.serving.live.agreement import (
    Agreement,
    Alone,
    Vote,
    Word,
    living_workers,
    served_by_all,
    votes_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]


def ready(model: str, revision: int) -> Vote:
    return Vote(model, revision, "ready")


def say(agreement: Agreement, *votes: Vote) -> Word:
    pending = {each.model: each.revision for each in votes if each.state in {"loading", "ready"}}
    return agreement.exchange(votes, pending, {})


def ask(agreement: Agreement, model: str = "late", revision: int = 1) -> Word:
    return agreement.exchange([], {model: revision}, {})


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Agreement, Agreement]]:
    one, other = Agreement(tmp_path, "w1"), Agreement(tmp_path, "w2")
    yield one, other
    one.close()
    other.close()


def test_one_worker_alone_does_not_wait(tmp_path: Path) -> None:
    assert say(Agreement(tmp_path, "w1"), ready("late", 1)).decided == [("late", 1)]
    assert Alone().exchange([ready("late", 1)], {"late": 1}, {}).decided == [("late", 1)]


def test_a_revision_is_decided_when_the_last_worker_has_it(pair: tuple[Agreement, Agreement]) -> None:
    one, other = pair
    word = say(one, ready("late", 1))
    assert word.decided == []
    assert word.heard["late"].waits_for == [other.worker]
    assert say(other, Vote("late", 1, "loading")).decided == []
    assert say(other, ready("late", 1)).decided == [("late", 1)]
    assert ask(one).decided == [("late", 1)]


def test_a_decision_is_read_once_by_each(pair: tuple[Agreement, Agreement]) -> None:
    one, other = pair
    say(one, ready("late", 1))
    say(other, ready("late", 1))
    assert one.exchange([], {}, {}).decided == [("late", 1)]
    assert one.exchange([], {}, {}).decided == []


def test_what_one_cannot_load_is_not_decided_and_the_others_hear_why(
    pair: tuple[Agreement, Agreement],
) -> None:
    one, other = pair
    say(other, Vote("late", 1, "refused", "the disk is gone"))
    heard = say(one, ready("late", 1)).heard["late"]
    assert "the disk is gone" in heard.refusal
    assert ask(one).decided == []
    say(other, ready("late", 1))
    assert ask(one).decided == [("late", 1)]


def test_whoever_stands_outside_hears_the_living_and_makes_nothing(
    tmp_path: Path, pair: tuple[Agreement, Agreement]
) -> None:
    one, other = pair
    say(one, ready("late", 1))
    refusal = Vote("late", 1, "refused", "the disk is gone")
    say(other, refusal)
    assert living_workers(tmp_path) == [one.worker, other.worker]
    assert votes_in(tmp_path) == [ready("late", 1), refusal]
    other.close()
    assert living_workers(tmp_path) == [one.worker]
    assert votes_in(tmp_path) == [ready("late", 1)]
    assert (living_workers(tmp_path / "no"), votes_in(tmp_path / "no")) == ([], [])
    assert not (tmp_path / "no").exists()


def test_who_is_alone_holds_what_it_serves_until_it_is_out() -> None:
    alone = Alone()
    alone.exchange([], {}, {"late": 1})
    assert alone.holders("late") == ["this one"]
    alone.exchange([Vote("late", 0, "out")], {}, {})
    assert (alone.holders("late"), alone.served_by_all("late")) == ([], 0)


def test_votes_for_another_revision_do_not_count_but_are_heard(pair: tuple[Agreement, Agreement]) -> None:
    one, other = pair
    say(other, ready("late", 2))
    word = say(one, ready("late", 1))
    assert word.decided == []
    assert word.heard["late"].newest == 2


def test_nobody_waits_for_the_dead(pair: tuple[Agreement, Agreement]) -> None:
    one, other = pair
    say(other, Vote("late", 1, "refused", "no memory"))
    say(one, ready("late", 1))
    other.close()
    assert ask(one).decided == [("late", 1)]


def test_who_joins_later_reads_what_was_decided(tmp_path: Path) -> None:
    one = Agreement(tmp_path, "w1")
    say(one, ready("late", 1), ready("early", 4))
    say(one, ready("late", 2))
    joined = Agreement(tmp_path, "w2")
    assert joined.has_news()
    assert joined.exchange([], {}, {}).decided == [("early", 4), ("late", 2)]
    assert say(one, ready("late", 3)).decided == []
    one.close()
    joined.close()


def test_what_is_out_is_decided_at_once_and_voted_on_anew(pair: tuple[Agreement, Agreement]) -> None:
    one, other = pair
    say(one, ready("late", 1))
    say(other, ready("late", 1))
    assert say(one, Vote("late", 0, "out")).decided == [("late", 1), ("late", 0)][1:]
    assert say(one, ready("late", 1)).decided == [("late", 1)]  # the other never let it go
    assert say(other, Vote("late", 0, "out")).decided == [("late", 0)]
    assert say(other, ready("late", 1)).decided == [("late", 1)]


def test_what_every_worker_serves_is_told_to_whoever_asks(
    pair: tuple[Agreement, Agreement], tmp_path: Path
) -> None:
    one, other = pair
    one.exchange([], {}, {"late": 3})
    assert served_by_all(tmp_path, "late") == 0
    other.exchange([], {}, {"late": 2})
    assert one.served_by_all("late") == 2
    assert other.has_news()
    other.close()
    assert served_by_all(tmp_path, "late") == 3
    assert served_by_all(tmp_path / "nowhere", "late") == 0


def test_a_thousand_models_are_decided_in_one_exchange(pair: tuple[Agreement, Agreement]) -> None:
    one, other = pair
    votes = [ready(f"model-{n}", 1) for n in range(1000)]
    say(one, *votes)
    assert len(say(other, *votes).decided) == 1000


def test_a_worker_that_leaves_twice_left_once(tmp_path: Path) -> None:
    one = Agreement(tmp_path, "w1")
    one.close()
    one.close()
    assert served_by_all(tmp_path, "late") == 0


# With real processes


class Process:
    """A worker process that says which revision it serves, and since when."""

    def __init__(self, root: Path, name: str) -> None:
        command = [sys.executable, str(ROOT / "tests" / "serving" / "workers.py"), str(root), name]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.output = (root / f"{name}.said").open("w")
        self.process = subprocess.Popen(command, stdout=self.output, env=environment, cwd=ROOT)
        self.said = root / f"{name}.said"

    def served(self) -> list[tuple[int, float]]:
        lines = [each.split() for each in self.said.read_text().split("\n")[:-1]]
        return [(int(revision), float(at)) for revision, at in lines]

    def revision(self) -> int:
        return served[-1][0] if (served := self.served()) else -1

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.output.close()


@pytest.mark.slow
def test_real_workers_swap_together_while_one_is_killed_and_replaced(tmp_path: Path) -> None:
    team = Team(tmp_path)
    team.deploy(-1.0)
    with ExitStack() as stack:
        workers = [Process(tmp_path, f"w{n}") for n in range(3)]
        for each in workers:
            stack.callback(each.kill)
        assert until(lambda: all(each.revision() == 1 for each in workers), 30)
        for n in range(2, 8):
            team.deploy(-float(n))
            time.sleep(0.02)
        workers[1].process.send_signal(signal.SIGKILL)
        for n in range(8, 14):
            team.deploy(-float(n))
            time.sleep(0.02)
        rest = [workers[0], workers[2]]
        assert until(lambda: all(each.revision() == 13 for each in rest))
        again = Process(tmp_path, "w3")
        stack.callback(again.kill)
        assert until(lambda: again.revision() == 13, 30)
        assert {revision for revision, _ in again.served()} <= {0, 13}
        routes = team.deploy(-20.0)
        assert until(lambda: all(each.revision() == routes.revision for each in [*rest, again]))
        for each in [*workers, again]:
            revisions = [revision for revision, _ in each.served()]
            assert revisions == sorted(revisions)  # never back to an older one


@pytest.mark.slow
def test_weights_reach_all_workers_within_100_ms(tmp_path: Path) -> None:
    team = Team(tmp_path)
    team.deploy(-1.0, -2.0, shares=(0.9, 0.1))
    with ExitStack() as stack:
        workers = [Process(tmp_path, f"w{n}") for n in range(2)]
        for each in workers:
            stack.callback(each.kill)
        assert until(lambda: all(each.revision() == 1 for each in workers), 30)
        delays = []
        for n in range(12):
            share = 0.1 + n / 100
            routes = team.deploy(-1.0, -2.0, shares=(1 - share, share))
            changed = time.monotonic()
            assert until(lambda revision=routes.revision: all(w.revision() == revision for w in workers))
            delays.append(max(each.served()[-1][1] for each in workers) - changed)
        assert min(delays) < 0.1  # the machine may pause, the design does not
