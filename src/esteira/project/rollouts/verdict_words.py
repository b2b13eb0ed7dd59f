"""Where a rollout stands in words, in any language: its verdict, what it waits for and what nobody knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.project.rollouts.guard_readings import NOTHING_SEEN
from esteira.project.rollouts.plan_words import metric_words, span_words
from esteira.serving.rollout.losses import OUTCOME
from esteira.serving.rollout.state import RolloutState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.project.rollouts.moves import Look
    from esteira.project.rollouts.plan_words import Say
    from esteira.project.rollouts.report import RolloutReport
    from esteira.serving.rollout.state import Rollout

NOT_KNOWN = "not known yet"
_FEWEST_TIMED = 100  # answers of each before latency is a measure


def verdict_words(report: RolloutReport, say: Say) -> str:
    """Where the rollout stands or how it ended, in a sentence, and what labels say of it in another."""
    rollout = report.rollout
    versions = {"challenger": rollout.challenger_version, "champion": rollout.champion_version}
    said = say(_standing(rollout)).format(**versions)
    shows = _OUTCOME_SAYS if rollout.plan.metric == OUTCOME else _LABELS_SAY
    return f"{said} {say(shows[_sign(report)])}"


def _standing(rollout: Rollout) -> str:
    if rollout.state is RolloutState.PROMOTED:
        return "Version {challenger} was promoted: it is the champion now."
    if rollout.state is RolloutState.ROLLED_BACK:
        return "Version {challenger} was rolled back; version {champion} takes all the traffic."
    if rollout.state is RolloutState.PENDING:
        return "Version {challenger} waits for its first step."
    if rollout.state is RolloutState.PAUSED:
        return "Version {challenger} is paused: it stays at this step until somebody resumes it."
    return _ADVICE.get(str(rollout.evidence.get("advice", "")), _HOLDS)


_HOLDS = "Version {challenger} stays at this step until there is evidence."
_ADVICE: Mapping[str, str] = {
    "promote": "Version {challenger} is ready to be promoted by hand.",
    "widen": "Version {challenger} is ready for the next step, by hand.",
}
_LABELS_SAY: Mapping[str, str] = {
    "": "Labels say nothing of it yet.",
    "worse": "Labels show that it is worse.",
    "better": "Labels show that it is better.",
    "harmless": "Labels show no harm beyond the margin.",
    "open": "Labels do not tell the two apart yet.",
}
_OUTCOME_SAYS: Mapping[str, str] = {
    "": "Outcomes say nothing of it yet.",
    "worse": "Outcomes show that it is worse.",
    "better": "Outcomes show that it is better.",
    "harmless": "Outcomes show no harm beyond the margin.",
    "open": "Outcomes do not tell the two apart yet.",
}


def _sign(report: RolloutReport) -> str:
    look = report.last_look
    if look is None or (look.low is None and look.high is None):
        return ""
    if look.low is not None and look.low > 0:
        return "worse"
    if look.high is not None and look.high < 0:
        return "better"
    is_harmless = look.high is not None and look.high < report.rollout.plan.margin
    return "harmless" if is_harmless else "open"


def interval_words(look: Look | None, say: Say) -> str:
    """The mean difference and where it lies.

    >>> from esteira.project.rollouts.plan_words import English
    >>> interval_words(None, English())
    'not known yet'
    """
    if look is None or look.mean is None:
        return say(NOT_KNOWN)
    low, high = ("∞" if bound is None else f"{bound:+.4f}" for bound in (look.low, look.high))
    between = say("between {low} and {high}").format(low=f"−{low}" if low == "∞" else low, high=high)
    return f"{look.mean:+.4f}, {between}"


# ── what is missing, and what nobody knows ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that the next step waits for."""

    name: str
    seen: str
    needed: str
    is_met: bool


def needs_of(report: RolloutReport, say: Say) -> list[Need]:
    """What must be there before a rollout takes its next step or is promoted; nothing of one that ended."""
    rollout, plan = report.rollout, report.rollout.plan
    if not rollout.has_begun:
        return []
    needs = []
    if plan.ladder[rollout.step] or plan.mirrored:
        is_healthy = plan.goal == "healthy"
        seen = report.traffic.asked_in_step if is_healthy else report.traffic.labelled_in_step
        name = say("predictions at this step" if is_healthy else "labelled predictions at this step")
        needs.append(Need(name, say.count(seen), f"≥ {say.count(plan.minimum)}", seen >= plan.minimum))
        spent = report.time_at_step
        time = span_words(spent, say), f"≥ {span_words(plan.bake, say)}"
        needs.append(Need(say("time at this step"), *time, spent >= plan.bake))
    if plan.goal != "healthy":
        limit = 0.0 if report.is_at_last_step and plan.goal == "better" else plan.margin
        high = None if report.last_look is None else report.last_look.high
        seen_high = say(NOT_KNOWN) if high is None else f"{high:+.4f}"
        is_met = high is not None and high < limit
        name = say("upper bound of the difference in {metric}").format(metric=metric_words(plan, say))
        needs.append(Need(name, seen_high, f"< {limit:g}", is_met))
    return needs


def unknown_words(report: RolloutReport, say: Say) -> list[str]:
    """What the evidence does not tell, in sentences."""
    plan, look = report.rollout.plan, report.last_look
    said = [*_unknown_of_labels(report, look, say)]
    if plan.mirrored:
        said.append(say("What its answers would have brought about: nobody saw them."))
    arms = report.traffic.champion, report.traffic.challenger
    if 0 < min(len(each.latencies) for each in arms) < _FEWEST_TIMED:
        said.append(say("Whether it is slower: one of the two answered too few requests."))
    for guard in report.guards:
        if guard.state == NOTHING_SEEN:
            said.append(f"{say(guard.name)}: {say(NOTHING_SEEN)}.")
    if plan.segments:
        said.append(say("How it does outside of its segments."))
    return said


def _unknown_of_labels(report: RolloutReport, look: Look | None, say: Say) -> list[str]:
    if look is None or (look.low is None and look.high is None):
        return [say("How much better or worse it is: too few labels have come.")]
    said = []
    if (look.low is None or look.low <= 0) and (look.high is None or look.high >= 0):
        said.append(say("Whether it is better or worse: the interval holds zero."))
    answers = report.traffic.challenger.requests - report.traffic.challenger.errors
    if not report.rollout.plan.mirrored:
        answers += report.traffic.champion.requests - report.traffic.champion.errors
    if answers > report.traffic.labelled:
        counts = say.count(answers - report.traffic.labelled), say.count(answers)
        said.append(
            say("The labels of {missing} of {answers} answers.").format(missing=counts[0], answers=counts[1])
        )
    return said
