from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esteira.base.errors import EsteiraError, ServiceUnreachable, StorageUnwritable
from esteira.base.records import Alert, AlertState
from esteira.retraining.attempts import LOOP_EVENTS, Attempt, Candidate, LoopEvent, Outcome
from esteira.retraining.loop import Acts, GateAnswer, RetrainLoop
from esteira.retraining.policy import RetrainPolicy
from esteira.serving.rollout.analysis import Verdict
from esteira.serving.rollout.sequences import Interval

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2013, 7, 1, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = RetrainPolicy(cooldown=3 * DAY, minimum_labels=100)
FIRING = Alert("drift", "month", AlertState.FIRING, NOW, 0.4, 0.1, "moved")


class Killed(BaseException):
    """The machine went off."""


@dataclass
class World:
    """What is outside the loop and survives its process: each act's effect happens once per attempt and step.

    `kills` says for every call of an act whether the machine goes off before (1) or after (2) its effect.
    """

    passes: Iterator[bool]
    verdicts: Iterator[str]
    trains: Iterator[bool]
    kills: Iterator[int]
    alerts: list[Alert] = field(default_factory=lambda: [FIRING])
    labels: int = 1_000
    rolling: bool = False
    calls: list[tuple[str, str, int]] = field(default_factory=list)
    cut: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    effects: list[tuple[str, str, int]] = field(default_factory=list)
    said: dict[tuple[str, str, int], Any] = field(default_factory=dict)

    def acts(self) -> Acts:
        return Acts(
            alerts=lambda: self.alerts,
            labels_since=lambda _since: self.labels,
            rollout_active=lambda: self.rolling,
            train=lambda a: self._do("train", a, self._train),
            gate=lambda a: self._do("gate", a, lambda: GateAnswer(next(self.passes), "gates")),
            start_rollout=lambda a: self._do("start", a, lambda: f"rollout of {a.id}"),
            analyse=self._analyse,
            widen=lambda a: self._do("widen", a, lambda: None),
            promote=lambda a: self._do("promote", a, lambda: None),
            roll_back=lambda a: self._do("roll back", a, lambda: None),
        )

    def changes(self) -> list[tuple[str, str, int]]:
        """The effects that change something."""
        return [effect for effect in self.effects if not effect[0].startswith("verdict")]

    def _train(self) -> Candidate:
        if not next(self.trains):
            raise EsteiraError("the step 'model' failed")
        return Candidate(len(self.effects) + 2, "run", {"rows": 10})

    def _do(self, name: str, attempt: Attempt, effect: Any) -> Any:
        key = (name, attempt.id, attempt.step)
        self.calls.append(key)
        kill = next(self.kills)
        self.cut[key] += kill > 0
        if kill == 1:
            raise Killed
        if key not in self.said:
            self.said[key] = effect()
            self.effects.append(key)
        if kill == 2:
            raise Killed
        return self.said[key]

    def _analyse(self, attempt: Attempt) -> Verdict:
        if next(self.kills):
            raise Killed
        kind: Any = next(self.verdicts)
        self.effects.append((f"verdict {kind}", attempt.id, attempt.step))
        return Verdict(kind, f"because {kind}", Interval(-0.1, -0.2, 0.0, 9))


def forever(value: Any) -> Iterator[Any]:
    while True:
        yield value


def in_turn(values: list[Any], then: Any) -> Iterator[Any]:
    yield from values
    yield from forever(then)


def world(verdicts: tuple[str, ...] = (), *, passes: bool = True, trains: bool = True) -> World:
    return World(forever(passes), in_turn([*verdicts], "hold"), forever(trains), forever(0))


def loop_of(place: Path | str, seen: World, policy: RetrainPolicy = POLICY) -> RetrainLoop:
    url = place if isinstance(place, str) else f"sqlite:{place}/state.db"
    return RetrainLoop(url, "late", policy, seen.acts())


def days(loop: RetrainLoop, count: int) -> list[LoopEvent]:
    return [event for day in range(count) for event in loop.step(NOW + day * DAY)]


def kinds(events: list[LoopEvent]) -> list[str]:
    return [event.kind for event in events]


def test_the_whole_ring_from_alert_to_promotion(state_url: str) -> None:
    seen = world(("hold", "widen", "hold", "promote"))
    loop = loop_of(state_url, seen)
    first = loop.step(NOW)
    assert kinds([*first]) == ["began", "trained", "passed", "rolling"]
    assert kinds(days(loop, 4)) == ["held", "decided", "widened", "held", "decided", "promoted"]
    attempt = loop.journal.history("late")[0]
    assert (attempt.outcome, attempt.step, attempt.reason) == (Outcome.PROMOTED, 1, "because promote")
    assert attempt.ended_at == NOW + 3 * DAY
    assert [name for name, _, _ in seen.changes()] == ["train", "gate", "start", "widen", "promote"]


def test_what_happened_is_journalled_in_the_same_words(state_url: str) -> None:
    loop = loop_of(state_url, world(("widen", "roll back")))
    told = days(loop, 3)
    assert loop.journal.events("late") == [event for event in told if event.kind != "held"]
    assert {event.kind for event in told} <= set(LOOP_EVENTS)
    assert told[0] == LoopEvent("began", "drift month: moved", {}, NOW, loop.journal.history("late")[0].id)


def test_without_an_alert_nothing_happens(tmp_path: Path) -> None:
    seen = world()
    seen.alerts = [Alert("drift", "month", AlertState.PENDING, NOW, 0.4, 0.1, "moved")]
    assert days(loop_of(tmp_path, seen), 3) == []
    assert seen.calls == []


def test_an_alert_that_must_wait_says_why(tmp_path: Path) -> None:
    seen = world()
    seen.rolling = True
    events = loop_of(tmp_path, seen).step(NOW)
    assert (events[0].kind, "a rollout is under way" in events[0].message) == ("waiting", True)
    assert seen.calls == []


def test_a_candidate_that_the_gates_refuse_never_meets_traffic(tmp_path: Path) -> None:
    seen = world(("promote",), passes=False)
    loop = loop_of(tmp_path, seen)
    assert kinds(days(loop, 1)) == ["began", "trained", "refused"]
    assert [name for name, _, _ in seen.effects] == ["train", "gate"]
    assert loop.journal.history("late")[0].outcome is Outcome.REFUSED


def test_a_failed_training_ends_the_attempt_and_says_why(tmp_path: Path) -> None:
    events = loop_of(tmp_path, world(trains=False)).step(NOW)
    assert kinds([*events]) == ["began", "failed"]
    assert events[1].message == "training failed: the step 'model' failed"


def test_gates_that_cannot_judge_end_the_attempt(tmp_path: Path) -> None:
    seen = world()
    seen.passes = broken(EsteiraError("no champion metrics"))
    events = loop_of(tmp_path, seen).step(NOW)
    assert kinds([*events]) == ["began", "trained", "failed"]
    assert "no champion metrics" in events[-1].message


def broken(error: Exception) -> Iterator[bool]:
    raise error
    yield True


@pytest.mark.parametrize("role", ["trains", "passes"])
@pytest.mark.parametrize(
    "error", [StorageUnwritable("state.db", "disk full"), ServiceUnreachable("PostgreSQL", "db/x", "away")]
)
def test_a_full_disk_or_a_server_that_is_away_is_no_verdict_on_the_candidate(
    tmp_path: Path, role: str, error: EsteiraError
) -> None:
    seen = world()
    setattr(seen, role, broken(error))
    loop = loop_of(tmp_path, seen)
    with pytest.raises(type(error)):
        loop.step(NOW)
    setattr(seen, role, in_turn([], then=True))
    assert kinds(days(loop, 1))[-1] == "rolling"


def test_after_an_attempt_the_loop_rests_for_the_cooldown(tmp_path: Path) -> None:
    loop = loop_of(tmp_path, world(passes=False))
    told = days(loop, 4)
    assert kinds(told) == ["began", "trained", "refused", "waiting", "waiting", "began", "trained", "refused"]
    assert len(loop.journal.history("late")) == 2


def test_labels_are_counted_from_the_begin_of_the_last_attempt(tmp_path: Path) -> None:
    asked: list[datetime | None] = []
    seen = world(("roll back",))
    acts = seen.acts()
    counting = Acts(
        **{name: getattr(acts, name) for name in acts.__slots__}
        | {"labels_since": lambda since: asked.append(since) or 1_000}
    )
    days(RetrainLoop(f"sqlite:{tmp_path}/state.db", "late", POLICY, counting), 3)
    assert asked == [None, NOW]


def test_an_act_of_the_rollout_that_fails_is_tried_again(tmp_path: Path) -> None:
    seen = world(("promote",))
    acts, failures = seen.acts(), iter([True, False])

    def promote(attempt: Attempt) -> None:
        if next(failures):
            raise EsteiraError("the registry does not answer")
        acts.promote(attempt)

    changed = Acts(**{name: getattr(acts, name) for name in acts.__slots__} | {"promote": promote})
    loop = RetrainLoop(f"sqlite:{tmp_path}/state.db", "late", POLICY, changed)
    loop.step(NOW)
    with pytest.raises(EsteiraError, match="does not answer"):
        loop.step(NOW + DAY)
    assert kinds([*loop.step(NOW + 2 * DAY)]) == ["promoted"]


scripts = st.builds(
    World,
    passes=st.lists(st.booleans(), max_size=4).map(lambda given: in_turn(given, then=True)),
    verdicts=st.lists(st.sampled_from(["hold", "widen", "promote", "roll back"]), max_size=8).map(
        lambda given: in_turn(given, "hold")
    ),
    trains=st.lists(st.booleans(), max_size=4).map(lambda given: in_turn(given, then=True)),
    kills=st.lists(st.sampled_from([0, 0, 1, 2]), max_size=12).map(lambda given: in_turn(given, 0)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seen=scripts)
def test_whatever_comes_nothing_is_promoted_without_gates_and_verdict_and_nothing_done_is_repeated(
    seen: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ring")
    for day in range(18):
        loop = loop_of(folder, seen)  # as a new process would
        try:
            loop.step(NOW + day * DAY)
        except Killed:
            continue
    for name, attempt, step in seen.effects:
        if name == "start":
            assert seen.said[("gate", attempt, 0)].passed
        if name == "promote":
            assert ("verdict promote", attempt, step) in seen.effects
            assert seen.said[("gate", attempt, 0)].passed
            assert ("start", attempt, 0) in seen.effects
    for key, calls in Counter(seen.calls).items():
        assert calls <= 1 + seen.cut[key], "an act that had ended was done again"
    assert max(Counter(seen.changes()).values(), default=1) == 1
    promoted = {each.id for each in loop.journal.history("late") if each.outcome is Outcome.PROMOTED}
    assert promoted == {attempt for name, attempt, _ in seen.effects if name == "promote"}


class MortalLog:
    """Writes outside the loop: one line each in a file, and at the nth moment the process kills itself."""

    def __init__(self, path: Path, moments: int) -> None:
        self.path, self.left = path, moments

    def _moment(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def once(self, name: str, answer: Any = None) -> Any:
        """An act that finds what it has done already."""

        def act(attempt: Attempt) -> Any:
            line = json.dumps([name, attempt.id, attempt.step])
            if not self.path.exists() or line not in self.path.read_text().splitlines():
                self._moment()
                with self.path.open("a") as file:
                    file.write(line + "\n")
                self._moment()
            return answer

        return act


def ring_until_killed(folder: Path, url: str, moments: int) -> None:
    """One process of the ring."""
    log = MortalLog(folder / "log", moments)

    def analyse(attempt: Attempt) -> Verdict:
        kind: Any = "widen" if attempt.step == 0 else "promote"
        return Verdict(kind, "so it is", Interval(-0.1, -0.2, -0.01, 9))

    acts = Acts(
        alerts=lambda: [FIRING], labels_since=lambda _since: 1_000, rollout_active=lambda: False,
        train=log.once("train", Candidate(2)), gate=log.once("gate", GateAnswer(passed=True, reason="")),
        start_rollout=log.once("start", "r1"), analyse=analyse, widen=log.once("widen"),
        promote=log.once("promote"), roll_back=log.once("roll back"),
    )  # fmt: skip
    days(RetrainLoop(url, "late", POLICY, acts), 3)


def test_a_ring_that_is_killed_at_every_write_in_turn_does_each_act_once(
    tmp_path: Path, state_url: str
) -> None:
    fork, codes = multiprocessing.get_context("fork"), []
    while not codes or codes[-1] != 0:
        process = fork.Process(target=ring_until_killed, args=(tmp_path, state_url, len(codes) % 3))
        process.start()
        process.join(60)
        codes.append(process.exitcode)
        assert len(codes) < 40
    assert codes.count(-signal.SIGKILL) >= 5
    done = [json.loads(line)[0] for line in (tmp_path / "log").read_text().splitlines()]
    assert done == ["train", "gate", "start", "widen", "promote"]
    loop = loop_of(state_url, world())
    assert [each.outcome for each in loop.journal.history("late")] == [Outcome.PROMOTED]
