"""What the buttons of a rollout do: each checked on the server, whatever the page showed."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, EsteiraError
from esteira.project.rollouts import rolling
from esteira.project.station import open_station
from esteira.serving.rollout.plan_texts import plan_of_texts
from esteira.serving.rollout.state import IllegalMove, RolloutMoved, RolloutState, RolloutUnderWay
from esteira.serving.routes import ChangeUnderWay, RoutesMoved

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esteira.project.station import Station
    from esteira.serving.rollout.state import Rollout
    from esteira.web.signing import Visitor

PATIENCE_S = 10.0  # that a button waits for another change of what serves
LONGEST_REASON = 300  # characters
NO_BUTTON = "There is no such button."
NO_VERSION = "Choose a version."
NO_REASON = "Give a reason of up to 300 characters: the audit ledger keeps it."
NOT_SURE = "Confirm that you are sure."
MOVED = "Nothing was done, for this rollout has changed meanwhile: see below where it stands now."
NOTHING_DONE = "Nothing was done:"
NOT_FINISHED = "This could not be finished:"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_CONFLICTS = (IllegalMove, RolloutMoved, RolloutUnderWay, ChangeUnderWay, RoutesMoved)


class NotPressed(BadInput):
    """A button that did nothing."""

    def __init__(self, status: int, why: str, detail: str = "") -> None:
        super().__init__(f"{why} {detail}".strip())
        self.status, self.why, self.detail = status, why, detail


@dataclass(frozen=True, slots=True)
class Button:
    """One act on a rollout."""

    act: str
    name: str
    told: str  # what will happen
    is_grave: bool = False


PAUSE = Button(
    "pause", "Pause", "It stays at this step until somebody resumes it; harm ends it all the same."
)
RESUME = Button("resume", "Resume", "It goes on to the next step as soon as there is evidence.")
PROMOTE = Button(
    act="promote",
    name="Promote now",
    told="The challenger becomes the champion at once, whatever its evidence.",
    is_grave=True,
)
ABORT = Button(
    act="abort",
    name="Abort",
    told="The champion takes all the traffic back, and the rollout ends.",
    is_grave=True,
)
START = Button("start", "Start", "The version gets its first traffic as the strategy says.")

_ACTS: Mapping[str, Callable[[Station, str, Rollout], Rollout]] = {
    "pause": rolling.pause,
    "resume": rolling.go_on,
    "promote": rolling.promote_by_hand,
    "abort": rolling.abort,
}


def buttons_of(rollout: Rollout) -> tuple[Button, ...]:
    """What may be done to a rollout where it stands."""
    if rollout.state is RolloutState.PENDING:
        return (ABORT,)
    if rollout.state is RolloutState.RUNNING:
        return (PAUSE, PROMOTE, ABORT)
    return (RESUME, PROMOTE, ABORT) if rollout.state is RolloutState.PAUSED else ()


def seen_of(rollout: Rollout) -> str:
    """What a page showed when its buttons were drawn: they do nothing once that is over."""
    return f"{rollout.state}/{rollout.step}"


class Presser:
    """Does what a visitor who may asks for, one at a time."""

    def __init__(self, station: Station) -> None:
        self._station, self._pressing = station, threading.Lock()

    def press(self, visitor: Visitor, rollout_id: str, form: Mapping[str, str]) -> None:
        """Do one act to a rollout. Raises: NotFound, NotPressed, EsteiraError."""
        act = form.get("act", "")
        if act not in _ACTS:
            raise NotPressed(400, NO_BUTTON)
        reason = _reason(form)
        with self._pressing:
            rollout = self._station.rollouts.get(rollout_id)
            if form.get("seen") != seen_of(rollout):
                raise NotPressed(409, MOVED, f"({rollout.standing}: {rollout.reason})")
            station = self._acting(visitor)
            _done(lambda: _ACTS[act](station, reason, rollout))

    def start(self, visitor: Visitor, form: Mapping[str, str]) -> Rollout:
        """Begin the rollout of a version. Raises: NotPressed, EsteiraError."""
        version, reason = form.get("version", ""), _reason(form)
        if not (version.isascii() and version.isdecimal() and len(version) < 10):
            raise NotPressed(400, NO_VERSION)
        with self._pressing:
            under_way = self._station.rollouts.active(self._station.project.name)
            if under_way is not None:
                raise NotPressed(409, NOTHING_DONE, str(RolloutUnderWay(under_way)))
            station = self._acting(visitor)
            _done(lambda: _begin(station, int(version), form.get("strategy", ""), reason))
            return station.rollouts.history(station.project.name)[-1]

    def _acting(self, visitor: Visitor) -> Station:
        """The project in the name of the visitor; not while somebody else changes what serves for long."""
        try:
            with self._station.routes.changing(PATIENCE_S):
                return open_station(self._station.settings.root, actor=visitor.actor)
        except ChangeUnderWay as held:
            raise NotPressed(409, NOTHING_DONE, str(held)) from held


def _begin(station: Station, version: int, strategy: str, reason: str) -> None:
    plan = plan_of_texts(strategy, {}, station.project.rollout)
    rolling.start_rollout(station, version, reason, plan)


def _reason(form: Mapping[str, str]) -> str:
    reason = _CONTROL.sub(" ", form.get("reason", "")).strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise NotPressed(400, NO_REASON)
    if form.get("sure") != "yes":
        raise NotPressed(400, NOT_SURE)
    return reason


def _done(act: Callable[[], object]) -> None:
    try:
        act()
    except _CONFLICTS as conflict:
        raise NotPressed(409, NOTHING_DONE, str(conflict)) from conflict
    except BadInput as wrong:
        raise NotPressed(409 if _is_over(wrong) else 400, NOTHING_DONE, str(wrong)) from wrong
    except EsteiraError as broken:
        raise NotPressed(503, NOT_FINISHED, str(broken)) from broken


def _is_over(wrong: BadInput) -> bool:
    """Whether there was no rollout any more."""
    return getattr(wrong, "kind", "").startswith("a rollout under way")
