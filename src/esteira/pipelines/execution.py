"""One step, executed: call it, check what it returned, store it. Every runner does exactly this somewhere."""

from __future__ import annotations

import logging
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esteira.base.errors import EsteiraError
from esteira.pipelines.annotations import matches, spelled
from esteira.pipelines.codecs.port import STORABLE, Unstorable
from esteira.pipelines.owners import Owner, owner_of_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.pipelines.artifacts import ArtifactStore, Kept
    from esteira.pipelines.step import Step

log = logging.getLogger(__name__)


class StepFailed(EsteiraError):
    """A step raised; the message has its name, what it said, and the line of project code."""

    def __init__(self, step: str, said: str, where: str) -> None:
        super().__init__(f"step {step!r} failed: {said}" + (f" ({where})" if where else ""))
        self.step, self.said, self.where = step, said, where


class WrongOutput(StepFailed):
    """A step returned something else than its annotation says, or something that cannot be stored."""

    def __init__(self, step: str, expected: str, found: str, where: str = "") -> None:
        super().__init__(step, f"it must return {expected}, but returned {found}", where)
        self.expected, self.found = expected, found


@dataclass(frozen=True, slots=True)
class Task:
    """A step with the values that it is to be called with."""

    step: Step[..., Any]
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a task: its stored value, or the error that ends the run."""

    step: str
    seconds: float
    kept: Kept | None = None
    error: EsteiraError | None = None


def execute(task: Task, artifacts: ArtifactStore) -> Done:
    """Call a step, again as often as its retries allow, and store what it returns; errors are in `Done`."""
    begun = time.perf_counter()
    try:
        kept = _stored(task.step, _checked(task.step, _called(task)), artifacts)
    except EsteiraError as failed:
        return Done(task.step.name, time.perf_counter() - begun, error=failed)
    return Done(task.step.name, time.perf_counter() - begun, kept)


def _called(task: Task) -> object:
    attempts = task.step.retries + 1
    for attempt in range(1, attempts + 1):
        try:
            return task.step.function(**task.arguments)
        except Exception as raised:
            if attempt == attempts:
                said = f"{type(raised).__name__}: {raised}"
                raise StepFailed(task.step.name, said, _where(raised)) from raised
            facts = {"step": task.step.name, "attempt": attempt, "attempts": attempts}
            log.warning("step raised, trying again", extra=facts, exc_info=raised)
    raise AssertionError("a loop of at least one attempt returns or raises")


def _checked(step: Step[..., Any], value: object) -> object:
    if matches(value, step.returns):
        return value
    raise WrongOutput(step.name, spelled(step.returns), _described(value), _home(step))


def _stored(step: Step[..., Any], value: object, artifacts: ArtifactStore) -> Kept:
    try:
        return artifacts.keep(value, step.returns)
    except Unstorable as wrong:
        found = f"{wrong.found}: {wrong.reason}" if wrong.reason else wrong.found
        raise WrongOutput(step.name, STORABLE, found, _home(step)) from wrong
    except EsteiraError:
        raise
    except Exception as raised:  # the object's own save
        said = f"its result could not be saved: {type(raised).__name__}: {raised}"
        raise StepFailed(step.name, said, _where(raised)) from raised


def _described(value: object) -> str:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{name} {value!r:.60}" if isinstance(value, int | float | str | list | tuple | dict) else name


def _where(raised: BaseException) -> str:
    """The innermost line of project code that the error passed; without any, the innermost line."""
    frames = traceback.extract_tb(raised.__traceback__)[1:]  # the first is ours
    mine = [frame for frame in frames if owner_of_file(frame.filename) is Owner.PROJECT] or frames
    return f"{mine[-1].filename}:{mine[-1].lineno}" if mine else ""


def _home(step: Step[..., Any]) -> str:
    code = getattr(step.function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else ""
