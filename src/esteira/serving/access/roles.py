"""What a caller may do: a few roles, each named for the act, and the models that it may be done to.

No role implies another. Who deploys need not read what a model is asked, so an administrator's key that
should also predict is given both roles.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import translate

PREDICT, REPORT, OBSERVE, ADMIN = "predict", "report", "observe", "admin"
ROLES = {
    PREDICT: "ask models and features, read the metadata of models",
    REPORT: "send labels and rows",
    OBSERVE: "read metrics, the index of models and their OpenAPI documents",
    ADMIN: "load, unload and deploy",
}
NOBODY = ""  # the role that a route needs which answers everybody

# What a route is about when its path names no model. A model's name comes from a path, so it holds no slash.
NO_MODEL = "/none"
DEFAULT_MODEL = "/default"
EVERY_MODEL = "/every"

_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what for.

    >>> caller = Caller("shop", frozenset({PREDICT}), ("late", "price-*"))
    >>> caller.may_ask("price-eu"), caller.may_ask("early"), caller.may_ask(EVERY_MODEL)
    (True, False, False)
    """

    name: str
    roles: frozenset[str] = frozenset()
    models: tuple[str, ...] = ()  # names or patterns such as `price-*`; empty: every model
    _pattern: re.Pattern[str] | None = field(init=False, repr=False, compare=False)
    _names: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pattern = re.compile("|".join(map(translate, self.models))) if self.models else None
        object.__setattr__(self, "_pattern", pattern)
        plain = (each for each in self.models if not _WILD.intersection(each))
        object.__setattr__(self, "_names", frozenset({NO_MODEL, *plain}))  # found without a pattern

    @property
    def is_bounded(self) -> bool:
        """Whether there may be models of which this caller is told nothing."""
        return self._pattern is not None and "*" not in self.models

    def may_ask(self, model: str) -> bool:
        """Whether a model, or what stands for models here, is this caller's to ask."""
        if self._pattern is None or model in self._names:
            return True
        if model in {EVERY_MODEL, DEFAULT_MODEL}:
            return not self.is_bounded
        return self._pattern.match(model) is not None


ANYBODY = Caller("")
