"""Parameters of a run: made to fit what the step says, named by content, kept as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from esteira.base.errors import BadInput
from esteira.pipelines.annotations import UNSAID, matches, spelled
from esteira.pipelines.content import Unhashable, content, plain_odd

if TYPE_CHECKING:
    from esteira.pipelines.step import Step


class WrongParameter(BadInput):
    """A parameter value that does not fit the step that takes it, or that no key could hold."""

    def __init__(self, step: str, parameter: str, reason: str) -> None:
        super().__init__(f"parameter {parameter!r} of step {step!r}: {reason}")
        self.step, self.parameter, self.reason = step, parameter, reason


def fitted(step: Step[..., Any], name: str, value: object) -> object:
    """The value as the step's annotation wants it: text becomes a time, a list a tuple, a value an Enum.

    So a run is repeated from the JSON that its journal keeps. Raises: WrongParameter.
    """
    expected = step.types.get(name, UNSAID)
    if name in step.defaults and value is step.defaults[name]:
        return value
    if matches(value, expected):
        return value
    try:
        return msgspec.convert(plain(step.name, name, value), expected, str_keys=True)
    except (msgspec.ValidationError, TypeError) as wrong:
        found = f"must be {spelled(expected)}, found {value!r:.80}"
        raise WrongParameter(step.name, name, found) from wrong


def named(step: str, name: str, value: object) -> object:
    """The content of a parameter for the key. Raises: WrongParameter, NaiveTime."""
    try:
        return content(value, plain_odd)
    except Unhashable as wrong:
        raise WrongParameter(step, name, str(wrong)) from wrong


def plain(step: str, name: str, value: object) -> Any:  # noqa: ANN401 - JSON values
    """A parameter as JSON values, for the journal. Raises: WrongParameter."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, msgspec.MsgspecError) as wrong:
        raise WrongParameter(step, name, f"cannot be kept as JSON: {wrong}") from wrong
