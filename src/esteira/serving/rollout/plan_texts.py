"""A plan from the words of a command line: a strategy, and settings as texts."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from esteira.base.clock import span_of
from esteira.base.errors import BadInput, UnknownName
from esteira.serving.rollout.plan import BadPlan, RolloutPlan
from esteira.serving.rollout.strategies import STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FLAGS = {"yes": True, "true": True, "no": False, "false": False}


def plan_of_texts(strategy: str, settings: Mapping[str, str], base: RolloutPlan) -> RolloutPlan:
    """The base plan, or that of another strategy, with settings replaced.

    Raises: UnknownName (strategy or setting), BadInput (a text that is no value), BadPlan.
    >>> from esteira.serving.rollout.strategies import Canary
    >>> plan_of_texts("", {"shares": "0.1,1", "bake": "2h"}, Canary()).ladder
    (0.1, 1.0)
    """
    plan = base
    if strategy and strategy != base.strategy:
        if strategy not in STRATEGIES:
            raise UnknownName("strategy", strategy, STRATEGIES)
        plan = STRATEGIES[strategy]()
    kinds = {each.name: str(each.type) for each in fields(plan)}
    found = {}
    for name, text in settings.items():
        if name not in kinds:
            raise UnknownName(f"setting of strategy {plan.strategy!r}", name, kinds)
        found[name] = _value(plan.strategy, name, kinds[name], text)
    return replace(plan, **found)


def _value(strategy: str, name: str, kind: str, text: str) -> Any:  # noqa: ANN401 - of the setting's own type
    if kind.endswith("| None") and text.lower() == "none":
        return None
    for begin, (read, expected) in _READERS.items():
        if kind.startswith(begin):
            try:
                return read(text)
            except (ValueError, KeyError, BadInput) as wrong:
                raise BadPlan(strategy, name, expected, repr(text)) from wrong
    return text


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


_READERS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    # how the type of a setting begins → its reader, and what a text must be
    "tuple[float": (_numbers, "numbers with commas between them, e.g. 0.05,0.25,1"),
    "tuple[str": (_names, "names with commas between them"),
    "float": (float, "a number"),
    "int": (int, "a whole number"),
    "bool": (lambda text: _FLAGS[text.lower()], "yes or no"),
    "timedelta": (span_of, "a span of time such as 7d, 12h or 30m"),
}
