from __future__ import annotations

import pytest
from tests.serving.live.test_assembly import Bench, bench

from esteira.base.errors import EsteiraError
from esteira.serving.live.candidates import PATIENCE_S, Candidate

__all__ = ["bench"]


def test_a_candidate_is_ready_when_all_its_parts_are_loaded(bench: Bench) -> None:
    routes = bench.routes(-1.0, -2.0, shares=(0.5, 0.5))
    candidate = Candidate("late", 1)
    candidate.advance(bench.assembly)
    assert candidate.vote.state == "loading"
    parts = bench.assembly.begin(routes, None)
    candidate.begin(routes, parts)
    bench.assembly.wait(routes, None)
    candidate.is_told = True
    candidate.advance(bench.assembly)
    assert candidate.is_ready
    assert not candidate.is_told  # there is something new to say
    assert candidate.live is not None
    assert candidate.live.routes is routes


def test_a_candidate_that_stays_out_of_memory_is_ready_at_once(bench: Bench) -> None:
    candidate = Candidate("late", 3, is_absent=True)
    candidate.advance(bench.assembly)
    assert candidate.is_ready
    assert candidate.live is None


def test_a_refusal_is_a_vote_with_its_reason(bench: Bench) -> None:
    candidate = Candidate("late", 3)
    candidate.refuse("no memory")
    assert (candidate.vote.state, candidate.vote.reason) == ("refused", "no memory")


def test_parts_that_fail_raise(bench: Bench) -> None:
    routes = bench.routes(-1.0)
    (bench.artifacts.folder(routes.champion.digest) / "model.txt").unlink()
    candidate = Candidate("late", 1)
    parts = bench.assembly.begin(routes, None)
    candidate.begin(routes, parts)
    for load in parts.values():
        load.wait(5)
    with pytest.raises(EsteiraError):
        candidate.advance(bench.assembly)


def test_it_yields_to_what_others_have_in_hand_and_after_some_patience_to_the_newest(
    bench: Bench,
) -> None:
    candidate = Candidate("late", 3)
    assert candidate.yields(newest=9, heard=0) == 3
    assert candidate.yields(newest=9, heard=4) == 4
    candidate.began -= PATIENCE_S + 1
    assert candidate.yields(newest=9, heard=0) == 9
    ready = Candidate("late", 3, is_absent=True)
    ready.began -= PATIENCE_S + 1
    assert ready.yields(newest=9, heard=0) == 3  # the others are about to agree
