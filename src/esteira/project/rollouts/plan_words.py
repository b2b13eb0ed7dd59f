"""The plan of a rollout in words, in any language."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.serving.rollout.plan import RolloutPlan

_UNITS = (
    ("day", "days", timedelta(days=1)),
    ("hour", "hours", timedelta(hours=1)),
    ("minute", "minutes", timedelta(minutes=1)),
)


class Say(Protocol):
    """Says a text in the reader's language."""

    def __call__(self, text: str) -> str: ...

    def count(self, number: int) -> str:
        """A whole number."""
        ...


class English:
    """The texts as they stand here."""

    def __call__(self, text: str) -> str:
        return text

    def count(self, number: int) -> str:
        return f"{number:,}"


def span_words(span: timedelta, say: Say) -> str:
    """A span of time in the greatest unit of which it has one.

    >>> span_words(timedelta(hours=36), English()), span_words(timedelta(hours=1), English())
    ('1.5 days', '1 hour')
    """
    unit, units, one = next((each for each in _UNITS if span >= each[2]), _UNITS[-1])
    number = round(span / one, 1)
    return f"{number:g} {say(unit if number == 1 else units)}"


_STRATEGIES: Mapping[str, str] = {
    "canary": "A few requests go to the challenger first, then more: {shares} of the traffic, step by step.",
    "blue-green": "All the traffic goes to the challenger at once; the champion stands by in memory.",
    "shadow": (
        "After the reply the challenger is asked {mirrored} of what the champion answered; no user sees it."
    ),
    "champion-challenger": (
        "After the reply the challenger is asked {mirrored} of what the champion answered; labels judge it."
    ),
    "ab": (
        "An experiment: a fixed {shares} of the keys go to the challenger, and what its answers bring about "
        "judges it."
    ),
    "bandit": (
        "Each version gets as much traffic as its chance of being the best, and neither less than {least}."
    ),
}
_GOALS: Mapping[str, str] = {
    "better": "It wins when {metric} shows it to be better",
    "harmless": "It wins when {metric} shows no harm beyond {margin}",
    "healthy": "It wins when no guard fires",
}


def plan_words(plan: RolloutPlan, say: Say) -> list[str]:
    """What a plan says, in sentences."""
    shares = " → ".join(f"{share:.0%}" for share in plan.ladder[:6])
    facts = {"shares": shares, "mirrored": f"{plan.mirrored:.0%}", "least": f"{plan.ladder[0]:.0%}"}
    said = [say(_STRATEGIES[plan.strategy]).format(**facts)]
    goal = say(_GOALS[plan.goal]).format(metric=metric_words(plan, say), margin=f"{plan.margin:g}")
    said.append(f"{goal}; {say('by itself') if plan.automatic else say('a person decides')}.")
    what = "predictions" if plan.goal == "healthy" else "labelled predictions"
    least = say("A step lasts at least {bake} and {minimum}.")
    minimum = f"{say.count(plan.minimum)} {say(what)}"
    said.append(least.format(bake=span_words(plan.bake, say), minimum=minimum))
    said.append(
        say("Without evidence after {longest} the champion stays.").format(
            longest=span_words(plan.max_duration, say)
        )
    )
    if plan.segments:
        said.append(say("Only these segments take part: {names}.").format(names=", ".join(plan.segments)))
    return said


def metric_words(plan: RolloutPlan, say: Say) -> str:
    """The metric's name."""
    return say(plan.metric.replace("_", " "))
