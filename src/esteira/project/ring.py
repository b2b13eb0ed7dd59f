"""The ring turning: drain the logs, judge the windows, retrain, roll out. One `tick` does what is due."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError
from esteira.monitoring.drain import drain
from esteira.project.ingesting import ingest_new
from esteira.project.overview import champion_since
from esteira.project.release import champion_of, deploy, judge_and_register, load_model, train
from esteira.project.rollouts.gathering import EvidenceGatherer
from esteira.project.rollouts.rolling import promote, resume, shift, start_rollout, stop, widen
from esteira.project.story import Story
from esteira.project.watch import watch
from esteira.retraining.attempts import Candidate
from esteira.retraining.loop import Acts, GateAnswer, RetrainLoop
from esteira.serving.rollout.analysis import analyse
from esteira.serving.rollout.bandit import best_share
from esteira.serving.rollout.sequences import Interval
from esteira.serving.rollout.state import RolloutState
from esteira.serving.rollout.strategies import Bandit
from esteira.serving.rollout.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    import pyarrow as pa

    from esteira.base.records import TableVersion
    from esteira.data.ingestion import Ingested
    from esteira.project.release import Candidate as Judged
    from esteira.project.station import Station
    from esteira.registry.signature import Signature
    from esteira.retraining.attempts import Attempt, LoopEvent
    from esteira.serving.rollout.state import Rollout
    from esteira.training.gates import GateResult

_TOLD = {  # the loop's word → the story's
    "began": "retraining",
    "trained": "trained",
    "passed": "gates passed",
    "refused": "gates refused",
    "failed": "failed",
    "rolling": "canary",
    "widened": "widened",
    "promoted": "promoted",
    "rolled back": "rolled back",
}

_BY_HAND: Mapping[str, tuple[str, Callable[[Station, Rollout, str], Rollout]]] = {
    # a verdict → the story's word, and the act
    "widen": ("widened", widen),
    "promote": ("promoted", promote),
    "roll back": ("rolled back", stop),
}


class Ring:
    """The ring of one project. All that it knows is in the stores: any process may turn it, one at a time."""

    def __init__(self, station: Station) -> None:
        _ = station.project  # one that cannot be loaded leaves no trace
        self._station = station
        self._story = Story(station.state)
        self._evidence: EvidenceGatherer | None = None
        self._loop = RetrainLoop(
            station.settings.store("state"),
            station.project.name,
            station.project.retrain,
            Acts(
                alerts=station.alerts.alerts,
                labels_since=self._labels_since,
                rollout_active=lambda: station.rollouts.active(station.project.name) is not None,
                train=self._train,
                gate=_gate,
                start_rollout=self._start_rollout,
                analyse=lambda attempt: self._look(self._rollout(attempt)),
                widen=lambda attempt: _done(
                    widen(station, self._rollout(attempt), attempt.reason, attempt.step)
                ),
                promote=lambda attempt: _done(promote(station, self._rollout(attempt), attempt.reason)),
                roll_back=lambda attempt: _done(stop(station, self._rollout(attempt), attempt.reason)),
            ),
        )

    def ingest(self, until: datetime) -> dict[str, Ingested]:
        """Bring what the sources published up to `until` into the tables."""
        return ingest_new(self._station, until)

    def first_model(self) -> None:
        """Train, judge and deploy the first champion. Raises: what `train` raises."""
        now = self._station.clock.now()
        judged = judge_and_register(self._station, train(self._station))
        self._story.add(now, "trained", **_training_facts(judged))
        kind = "gates passed" if judged.passed else "gates refused"
        self._story.add(now, kind, version=judged.version.version, reason=_gate_words(judged))
        if judged.passed:
            deploy(self._station, judged.version.version, "the first model")
            self._story.add(now, "deployed", version=judged.version.version, reason="the first model")

    def champion_signature(self) -> Signature:
        """What requests must carry now. Raises: NotFound."""
        station = self._station
        version = champion_of(station)
        if version is None:
            raise EsteiraError("no model serves: the gates refused the first one; see: esteira status")
        return load_model(station, version).signature

    def drain(self) -> None:
        """Move what the gateway logged into the tables."""
        station = self._station
        drain(station.settings.store("predictions"), self._append, station.state, station.tables.evolve)

    def tick(self, now: datetime) -> None:
        """Do everything that is due at `now`, after completing what a killed process left half done."""
        station = self._station
        resume(station)
        self.drain()
        for alert, changed in watch(station, now):
            if changed:
                self._story.add(
                    now, changed, monitor=alert.monitor, subject=alert.subject, message=alert.message
                )
        if champion_of(station) is None or self._tend_rollout_by_hand(now):
            return
        for event in self._loop.step(now):
            self._tell(event)

    def _append(self, name: str, rows: pa.Table, token: str) -> TableVersion:
        return self._station.tables.append(name, rows, token=token)

    # ── what the retraining loop asks and does ──────────────────────────────────────────────────────────

    def _labels_since(self, moment: datetime | None) -> int:
        station = self._station
        since = moment or champion_since(station)
        if since is None or "labels" not in station.tables.names():
            return 0
        return int(
            station.tables.read("labels", columns=["value"], where=[("ingested_at", ">=", since)]).num_rows
        )

    def _train(self, attempt: Attempt) -> Candidate:
        outcome = train(self._station, attempt.started_at)
        champion = champion_of(self._station)
        judged = judge_and_register(self._station, outcome)
        facts = _training_facts(judged) | {"passed": judged.passed, "gates": _gate_words(judged)}
        if champion is not None and judged.version.version == champion.version:
            facts |= {"passed": False, "gates": "training gave the champion's own bytes again"}
        return Candidate(judged.version.version, outcome.run.id, facts)

    def _start_rollout(self, attempt: Attempt) -> str:
        station = self._station
        if attempt.candidate is None:
            raise EsteiraError(f"attempt {attempt.id} has no candidate to roll out")
        start_rollout(station, attempt.candidate.version, attempt.cause)
        return self._story_rollout().id

    def _story_rollout(self) -> Rollout:
        rollout = self._station.rollouts.active(self._station.project.name)
        if rollout is None:
            raise EsteiraError("the rollout was ended while it began; see: esteira status")
        return rollout

    def _rollout(self, attempt: Attempt) -> Rollout:
        return self._station.rollouts.get(attempt.rollout)

    def _look(self, rollout: Rollout) -> Verdict:
        """The verdict on a rollout as it stands; what was seen is kept with it."""
        if not rollout.is_active:  # ended by hand
            return Verdict("roll back", rollout.reason, Interval(math.nan, -math.inf, math.inf, 0))
        if self._evidence is None or self._evidence.rollout_id != rollout.id:
            self._evidence = EvidenceGatherer(self._station, rollout)
        now, is_paused = self._station.clock.now(), rollout.state is RolloutState.PAUSED
        verdict = analyse(self._evidence.gather(rollout, now), rollout.plan, is_paused=is_paused)
        seen = verdict.facts()
        if verdict.kind == "hold" and seen != rollout.evidence:  # a look that saw nothing new leaves no trace
            rollout = self._station.rollouts.hold(rollout, verdict.reason, seen)
        if verdict.kind == "hold" and rollout.state is RolloutState.RUNNING:
            self._deal_anew(rollout, self._evidence, now)
        return verdict

    def _deal_anew(self, rollout: Rollout, evidence: EvidenceGatherer, now: datetime) -> None:
        """Give each version of a bandit the traffic that its outcomes have earned by now."""
        plan = rollout.plan
        if not isinstance(plan, Bandit) or now - rollout.step_since < plan.bake:
            return
        share = best_share(*evidence.outcomes(now), seed=rollout.step)
        step = plan.step_of(share)
        if step != rollout.step:
            shift(
                self._station, rollout, step, f"the challenger is the better one with a chance of {share:.0%}"
            )

    def _tend_rollout_by_hand(self, now: datetime) -> bool:
        """A canary that a person began is watched like any other; while there is one, the loop waits."""
        station = self._station
        rollout = station.rollouts.active(station.project.name)
        attempt = self._loop.journal.open_attempt(station.project.name)
        candidate = attempt.candidate if attempt is not None else None
        if rollout is None or (candidate and candidate.version == rollout.challenger_version):
            return False
        if rollout.state is RolloutState.PENDING:  # whoever began it was killed
            start_rollout(station, rollout.challenger_version, rollout.reason)
            return True
        verdict = self._look(rollout)
        if verdict.kind in _BY_HAND:
            told, act = _BY_HAND[verdict.kind]
            moved = act(station, rollout, verdict.reason)
            facts = {"version": moved.challenger_version, "share": moved.share, "reason": verdict.reason}
            self._story.add(now, told, **facts)
        return True

    def _tell(self, event: LoopEvent) -> None:
        kind = _TOLD.get(event.kind)
        if kind is None:
            return
        facts = dict(event.facts) | {"reason": event.message}
        rollout = station_rollout(self._station, event)
        if rollout is not None:
            facts |= {"version": rollout.challenger_version, "share": rollout.share}
        self._story.add(event.at, kind, **facts)


def station_rollout(station: Station, event: LoopEvent) -> Rollout | None:
    """The rollout that an event of the loop is about."""
    history = station.rollouts.history(station.project.name)
    return history[-1] if event.kind in {"rolling", "widened"} and history else None


def _gate(attempt: Attempt) -> GateAnswer:
    facts = attempt.candidate.facts if attempt.candidate else {}
    version = attempt.candidate.version if attempt.candidate else None
    return GateAnswer(bool(facts.get("passed")), str(facts.get("gates", "")), {"version": version})


def _training_facts(judged: Judged) -> dict[str, object]:
    told = [m for m in judged.measured if not m.metric.startswith("calibration")]
    metrics = ", ".join(f"{m.metric} {m.value:.3f}" for m in told)
    return {
        "version": judged.version.version,
        "rows": judged.rows,
        "until": judged.until,
        "metrics": metrics,
    }


def _gate_words(judged: Judged) -> str:
    """Why the gates refused, in full; or in short what they saw."""
    failed = [result.reason for result in judged.gates if not result.passed]
    return "; ".join(failed) or ", ".join(_seen(result) for result in judged.gates)


def _seen(result: GateResult) -> str:
    gate = result.gate
    if gate.not_worse_than is None:
        bound = f"≥ {gate.at_least:g}" if gate.at_least is not None else f"≤ {gate.at_most:g}"
        return f"{gate.metric} {result.candidate:.3f} {bound}"
    if result.threshold is None:
        return f"no {gate.not_worse_than} to compare with yet"
    return f"{gate.metric} {result.candidate:.3f} against {result.threshold:.3f} of the {gate.not_worse_than}"


def _done(_: object) -> None:
    """An act of the loop gives nothing back."""
