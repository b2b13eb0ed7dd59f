"""Hit or run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.pipelines.conftest import START

from esteira.base.records import Run, RunStatus
from esteira.pipelines.code import Code
from esteira.pipelines.decision import Judge
from esteira.pipelines.journal import Result, StepRecord, StepStatus
from esteira.pipelines.keys import Key
from esteira.pipelines.liveness import this_process

if TYPE_CHECKING:
    from tests.pipelines.conftest import Place

KEY = Key(Code({"m.f": "1"}, {}), {"seed": 7}, {})
RUN = Run("r1", "flights", RunStatus.RUNNING, START)


def recorded(place: Place, value: Any) -> StepRecord:
    kept = place.artifacts.keep(value)
    cached = False
    record = StepRecord(
        "r1", "model", StepStatus.DONE, KEY.digest, kept.artifact, cached, START, 1.0, "", "ran"
    )
    place.journal.claim(RUN, "i", this_process(), None)
    place.journal.commit(RUN, [record], [Result(KEY.digest, kept.artifact, KEY.parts, kept.small)])
    return record


def judge(place: Place, *, use_cache: bool = True, committed: StepRecord | None = None) -> Judge:
    earlier = {"model": committed} if committed else {}
    return Judge(place.journal, place.artifacts, project="flights", use_cache=use_cache, committed=earlier)


def test_a_new_step_runs_for_the_first_time(place: Place) -> None:
    verdict = judge(place).decide("model", KEY)
    assert (verdict.artifact, verdict.reason, verdict.digest) == (None, "ran: first time", KEY.digest)


def test_a_known_key_with_a_whole_artifact_is_a_hit(place: Place) -> None:
    record = recorded(place, {"a": 1})
    verdict = judge(place).decide("model", KEY)
    assert (verdict.artifact, verdict.reason, verdict.committed) == (record.artifact, "hit", None)


def test_another_key_says_what_changed(place: Place) -> None:
    recorded(place, {"a": 1})
    verdict = judge(place).decide("model", replace(KEY, parameters={"seed": 8}))
    assert (verdict.artifact, verdict.reason) == (None, "ran: parameter seed changed")


@pytest.mark.parametrize("value", [{"a": 1}, "x" * 10_000])
def test_a_corrupt_artifact_is_no_hit(place: Place, value: Any) -> None:
    record = recorded(place, value)
    assert record.artifact is not None
    path = place.artifacts.folder(record.artifact.digest) / "value.json"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    verdict = judge(place).decide("model", KEY)
    assert (verdict.artifact, verdict.reason) == (None, "ran: its stored result is corrupt")


def test_a_lost_small_artifact_comes_back_from_the_journal_and_a_lost_large_one_is_made_again(
    place: Place,
) -> None:
    import shutil

    small = recorded(place, {"a": 1})
    assert small.artifact is not None
    shutil.rmtree(place.artifacts.folder(small.artifact.digest))
    assert judge(place).decide("model", KEY).reason == "hit"
    assert place.artifacts.get(small.artifact) == {"a": 1}
    large = place.artifacts.put("x" * 10_000)
    place.journal.commit(RUN, [replace(small, artifact=large)], [Result(KEY.digest, large, KEY.parts)])
    shutil.rmtree(place.artifacts.folder(large.digest))
    assert judge(place).decide("model", KEY).reason == "ran: its stored result is gone"


def test_without_the_cache_only_what_this_run_has_committed_counts(place: Place) -> None:
    record = recorded(place, {"a": 1})
    assert judge(place, use_cache=False).decide("model", KEY).reason == "ran: the cache was not to be used"
    own = judge(place, use_cache=False, committed=record).decide("model", KEY)
    assert (own.artifact, own.committed) == (record.artifact, record)
    stale = judge(place, use_cache=False, committed=replace(record, key="other")).decide("model", KEY)
    assert stale.artifact is None
