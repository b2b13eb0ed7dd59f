"""The report of a rollout as sections, in the reader's language: its page and its files show the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esteira.project.rollouts.drawings import (
    IntervalWords,
    SplitBar,
    interval_chart,
    scores_chart,
    split_chart,
)
from esteira.project.rollouts.guard_readings import FIRES
from esteira.project.rollouts.plan_words import metric_words, plan_words
from esteira.project.rollouts.report import latency_of
from esteira.project.rollouts.verdict_words import interval_words, needs_of, unknown_words, verdict_words
from esteira.serving.rollout.guards import labels_alpha
from esteira.serving.rollout.sequences import is_other_split

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from esteira.project.rollouts.plan_words import Say
    from esteira.project.rollouts.report import RolloutReport
    from esteira.project.rollouts.traffic import Dealt
    from esteira.serving.rollout.evidence import ArmSeen


@dataclass(frozen=True, slots=True)
class Part:
    """One section: sentences, facts, a drawing as SVG text, a table, or some of them."""

    name: str  # the same in every language
    title: str
    said: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    drawing: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    numbers: Sequence[int] = ()  # columns to align right
    alarming: Sequence[int] = ()  # rows


def parts_of(report: RolloutReport, say: Say, lately: Sequence[SplitBar] = ()) -> list[Part]:
    """All sections; `lately` are further bars of the split, such as what was dealt in the last minute."""
    found = [
        _verdict(report, say),
        _needs(report, say),
        _split(report, say, lately),
        _labels(report, say),
        _arms(report, say),
        _guards(report, say),
        _moves(report, say),
        _plan(report, say),
        _unknown(report, say),
    ]
    return [each for each in found if each is not None]


def _verdict(report: RolloutReport, say: Say) -> Part:
    rollout = report.rollout
    facts = [
        (say("champion"), f"v{rollout.champion_version}"),
        (say("challenger"), f"v{rollout.challenger_version}"),
        (say("strategy"), rollout.plan.strategy),
        (say("started"), _time(rollout.started_at)),
        (say("at this step since") if rollout.is_active else say("ended"), _time(_since(report))),
    ]
    said = [verdict_words(report, say)]
    if rollout.reason:
        said.append(f"{say('Reason')}: {rollout.reason}")
    return Part("verdict", say("verdict"), said, facts)


def _since(report: RolloutReport) -> datetime:
    return report.rollout.step_since if report.rollout.is_active else report.at


def _needs(report: RolloutReport, say: Say) -> Part | None:
    needs = needs_of(report, say)
    if not needs:
        return None
    rows = [
        (each.name, each.seen, each.needed, say("yes") if each.is_met else say("not yet")) for each in needs
    ]
    title = say("Until it is promoted") if report.is_at_last_step else say("Until the next step")
    ends = report.rollout.started_at + report.rollout.plan.max_duration
    said = [say("Without evidence by {time} the champion stays.").format(time=_time(ends))]
    return Part("needs", title, said, columns=_said(say, "what", "now", "needed", "is it there?"), rows=rows)


# ── the split ───────────────────────────────────────────────────────────────────────────────────────────────


def _split(report: RolloutReport, say: Say, lately: Sequence[SplitBar]) -> Part:
    rollout, plan, dealt = report.rollout, report.rollout.plan, report.traffic.dealt
    if plan.mirrored:
        share = f"{plan.mirrored:.0%}"
        asked = say.count(report.traffic.challenger.requests)
        text = say("Callers get the champion's answers; the challenger was asked {share} of them: {count}.")
        return Part("split", say("split"), [text.format(share=share, count=asked)])
    bars = [SplitBar(say("intended"), rollout.share)] if rollout.is_active else []
    if dealt:
        name = say("dealt at this step") if rollout.is_active else say("dealt at the last step")
        bars.append(_bar(dealt[-1], name, say))
    drawn = split_chart((*bars, *lately), _names(report, say), say("split"))
    rows = [_dealt(each, report, say) for each in reversed(dealt)]
    columns = _said(
        say, "since", "intended", "champion", "challenger", "keys of the challenger", "is it as intended?"
    )
    alarming = [at for at, each in enumerate(reversed(dealt)) if _is_other(each, report)]
    return Part(
        "split",
        say("split"),
        drawing=drawn,
        columns=columns,
        rows=rows,
        numbers=(1, 2, 3, 4),
        alarming=alarming,
    )


def _bar(dealt: Dealt, name: str, say: Say) -> SplitBar:
    asked = dealt.champion + dealt.challenger
    note = f"{say.count(asked)} {say('requests')}"
    return SplitBar(name, dealt.challenger / asked if asked else None, note)


def _dealt(dealt: Dealt, report: RolloutReport, say: Say) -> tuple[str, ...]:
    keys = dealt.keys.champion + dealt.keys.challenger
    part = f"{dealt.keys.challenger / keys:.2%}" if keys else "–"
    state = "–"
    if 0 < dealt.share < 1:
        state = say("no: sample-ratio mismatch") if _is_other(dealt, report) else say("yes")
    counts = say.count(dealt.champion), say.count(dealt.challenger)
    return (_time(dealt.since), f"{dealt.share:.1%}", *counts, part, state)


def _is_other(dealt: Dealt, report: RolloutReport) -> bool:
    keys, alpha = dealt.keys, labels_alpha(report.rollout.plan)  # every guard has an equal part
    return is_other_split(keys.champion, keys.challenger, dealt.share, alpha)


# ── what labels and both versions say ───────────────────────────────────────────────────────────────────────


def _labels(report: RolloutReport, say: Say) -> Part:
    plan, look = report.rollout.plan, report.last_look
    metric = metric_words(plan, say)
    words = IntervalWords(
        label=say("How much worse the challenger is in {metric}, at every look").format(metric=metric),
        mean=say("mean"),
        bounds=say("where it lies"),
        no_difference=say("no difference"),
        margin=say("margin"),
    )
    margin = None if plan.goal == "healthy" else plan.margin
    chart = interval_chart(report.looks, margin, words)
    facts = [
        (say("difference in {metric}, below 0 is better").format(metric=metric), interval_words(look, say)),
        (say("observations"), say.count(look.observations) if look is not None else "0"),
        (say("labelled predictions"), say.count(report.traffic.labelled)),
    ]
    if margin is not None:
        facts.append((say("margin"), f"{margin:g}"))
    text = say("The bounds hold at every look at once: they narrow as labels come.")
    return Part("labels", say("What labels say"), [text] if chart else [], facts, chart)


def _arms(report: RolloutReport, say: Say) -> Part:
    mine, other = report.traffic.challenger, report.traffic.champion
    names = _names(report, say)
    rows = [_arm(name, each, say) for name, each in zip(names, (other, mine), strict=True)]
    columns = _said(say, "version", "requests", "errors", "p50", "p99", "mean score")
    said = []
    if report.traffic.agreement is not None:
        found = report.traffic.agreement
        text = say("Both said the same on {same} of {compared} requests that both were asked.")
        said.append(text.format(same=say.count(found.agreeing), compared=say.count(found.compared)))
    drawn = scores_chart(other.scores, mine.scores, names, say("How their scores are distributed"))
    return Part("arms", say("Both versions"), said, (), drawn, columns, rows, (1, 2, 3, 4, 5))


def _arm(name: str, arm: ArmSeen, say: Say) -> tuple[str, ...]:
    finite = arm.scores[np.isfinite(arm.scores)]
    times = [_milliseconds(latency_of(arm, at)) for at in (0.5, 0.99)]
    mean = f"{np.mean(finite):.4f}" if len(finite) else "–"
    part = f" ({arm.errors / arm.requests:.2%})" if arm.errors else ""
    return (name, say.count(arm.requests), f"{say.count(arm.errors)}{part}", *times, mean)


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1e3:.3g} ms"


def _names(report: RolloutReport, say: Say) -> tuple[str, str]:
    rollout = report.rollout
    return (
        f"{say('champion')} v{rollout.champion_version}",
        f"{say('challenger')} v{rollout.challenger_version}",
    )


# ── guards, moves, the plan, and what nobody knows ──────────────────────────────────────────────────────────


def _guards(report: RolloutReport, say: Say) -> Part:
    rows = [(say(each.name), each.seen or "–", each.limit or "–", say(each.state)) for each in report.guards]
    alarming = [at for at, each in enumerate(report.guards) if each.state == FIRES]
    said = [each.reason for each in report.guards if each.reason]
    columns = _said(say, "guard", "seen", "limit", "state")
    return Part("guards", say("Guards"), said, columns=columns, rows=rows, alarming=alarming)


def _moves(report: RolloutReport, say: Say) -> Part:
    rows = [
        (_time(each.at), say(each.act), f"{each.share:.0%}", each.who or "–", each.reason or "–")
        for each in reversed(report.moves)
    ]
    alarming = [at for at, each in enumerate(reversed(report.moves)) if each.act == "rolled back"]
    columns = _said(say, "when", "move", "share", "who", "why")
    return Part("moves", say("Moves"), columns=columns, rows=rows, numbers=(2,), alarming=alarming)


def _plan(report: RolloutReport, say: Say) -> Part:
    return Part("plan", say("Plan"), plan_words(report.rollout.plan, say))


def _unknown(report: RolloutReport, say: Say) -> Part | None:
    said = unknown_words(report, say)
    title = say("What is not known yet") if report.rollout.is_active else say("What stayed unknown")
    return Part("unknown", title, said) if said else None


def _said(say: Say, *texts: str) -> list[str]:
    return [say(each) for each in texts]


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
