"""Routes that are to be taken up: being loaded, then voted on, then in force or given up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from esteira.serving.live.agreement import Vote
from esteira.serving.live.loads import Load

if TYPE_CHECKING:
    from esteira.serving.live.agreement import State
    from esteira.serving.live.assembly import Assembly, Parts
    from esteira.serving.live.table import LiveModel
    from esteira.serving.routes import Routes

PATIENCE_S = 1.0  # that a load has before newer routes push it aside


class Candidate:
    """One revision of a model's routes on its way to be served by this worker."""

    def __init__(
        self, model: str, revision: int, *, is_agreed: bool = False, is_absent: bool = False
    ) -> None:
        """Absent: the model stays out of memory until it is asked for, and the worker agrees as it is."""
        self.revision = revision
        self.is_agreed = is_agreed  # the others serve it, no vote is needed
        self.routes: Routes | None = None
        self.parts: Parts | None = None
        self.live: LiveModel | None = None
        self.vote = Vote(model, revision, "ready" if is_absent else "loading")
        self.is_told = False  # whether the vote was said to the others
        self.began = time.monotonic()

    def begin(self, routes: Routes, parts: Parts) -> None:
        """Its parts are being loaded."""
        self.routes, self.parts = routes, parts

    @property
    def is_ready(self) -> bool:
        """Whether this worker has done its part."""
        return self.vote.state == "ready"

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    def advance(self, assembly: Assembly) -> None:
        """Become ready when all parts are loaded. Raises: what loading raised."""
        if self.is_ready or self.parts is None or self.routes is None:
            return
        if all(part.is_done for part in self.parts.values() if isinstance(part, Load)):
            self.live = assembly.finish(self.routes, self.parts)
            self._turn("ready")

    def refuse(self, reason: str) -> None:
        """It cannot be loaded here."""
        self._turn("refused", reason)

    def yields(self, newest: int, heard: int) -> int:
        """The revision that takes its place: what others have in hand, else the newest after some patience.

        A quick row of changes would otherwise push each revision aside before any is taken up.
        """
        if not self.is_ready and self.age > PATIENCE_S:
            heard = max(heard, newest)
        return max(heard, self.revision)

    def _turn(self, state: State, reason: str = "") -> None:
        self.vote = Vote(self.vote.model, self.revision, state, reason)
        self.is_told = False
