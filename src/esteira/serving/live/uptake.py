"""How what the store says comes to serve: loaded beside what serves, voted on, then swapped in."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError
from esteira.serving.live.agreement import Vote
from esteira.serving.live.candidates import Candidate

if TYPE_CHECKING:
    from esteira.serving.live.agreement import Heard, Votes
    from esteira.serving.live.assembly import Assembly
    from esteira.serving.live.failures import Failures
    from esteira.serving.live.following import Following
    from esteira.serving.live.table import LiveTable

_MANY = 50  # candidates: more of them come only when a gateway starts


class AnotherWorkerRefused(EsteiraError):
    """Routes that another worker of the gateway cannot load: none takes them up."""

    def __init__(self, refusal: str) -> None:
        super().__init__(f"another worker of this gateway cannot take it up: {refusal}")


class WaitsForWorkers(EsteiraError):
    """Routes that are loaded here and not yet elsewhere."""

    def __init__(self, workers: list[str], seconds: float) -> None:
        super().__init__(
            f"after {seconds:.0f} s these workers of the gateway do not have it: {', '.join(workers)}; "
            "if one is stuck, end it: another starts in its place"
        )
        self.workers = workers


class Uptake:
    """Brings the table to what the store says, a look at a time. One thread at a time looks."""

    def __init__(
        self,
        following: Following,
        table: LiveTable,
        assembly: Assembly,
        failures: Failures,
        agreement: Votes,
        load_s: float,
    ) -> None:
        self._following, self._table, self._assembly = following, table, assembly
        self._failures, self._agreement = failures, agreement
        self._load_s = load_s
        self.agreed: dict[str, int] = {}  # the revision that the gateway decided to serve
        self.candidates: dict[str, Candidate] = {}
        self.agreeing = threading.Lock()  # what is agreed and what is in the table change together
        self._former: dict[str, Candidate] = {}  # pushed aside, but the others may yet have agreed on it
        self._heard: dict[str, Heard] = {}
        self._dirty: set[str] = set()  # models to look at, kept until that was done
        self._served: dict[str, int] = {}  # what the others were not told yet
        self._out: list[Vote] = []
        self._held: set[str] = set()  # models of which the others were told that this worker serves them
        self._has_joined = False

    @property
    def is_settled(self) -> bool:
        """Whether nothing is on its way, but what has failed."""
        failed = self._failures.by_model
        return not self._dirty and all(
            name in failed and failed[name].revision == each.revision and each.is_ready
            for name, each in self.candidates.items()
        )

    def look(self, *, is_told: bool = False) -> None:
        """Do what can be done now, without waiting for a load or for others. Raises: StorageUnwritable."""
        if not self._has_joined:
            self._exchange()  # what the others serve already
            self._has_joined = True
        self._dirty.update(self._following.news(is_told=is_told))
        self._dirty.update(self._failures.due())
        self._dirty.update(self._pushed_aside())
        for name in list(self._dirty):
            self._consider(name)
            self._dirty.discard(name)
        if not self._dirty:
            self._dirty = set()  # an emptied one keeps the places of thousands, and is slow to walk
        if not self.candidates:
            self.candidates = {}
        self._assembly.loads.expire()
        for name, candidate in list(self.candidates.items()):
            self._advance(name, candidate)
        self._exchange()

    def _pushed_aside(self) -> list[str]:
        """The candidates that may have to yield to newer routes."""
        newest = self._following.revisions
        return [
            name
            for name, each in self.candidates.items()
            if newest[name] != each.revision
            or (name in self._heard and self._heard[name].newest > each.revision)
        ]

    def _consider(self, name: str) -> None:
        if name in self._following.unloaded:
            self._unload(name)
            return
        current = self.candidates.get(name)
        if current is not None:
            heard = self._heard[name].newest if name in self._heard else 0
            target = current.yields(self._following.revisions[name], heard)
            if target != current.revision:
                self._former[name] = current
                self._begin(name, target, is_agreed=False)
            return
        target, is_agreed = self._target(name)
        if target:
            self._begin(name, target, is_agreed=is_agreed)

    def _target(self, name: str) -> tuple[int, bool]:
        """The revision to take up next, and whether the others serve it already; 0 for none."""
        newest, agreed = self._following.revisions.get(name, 0), self.agreed.get(name, 0)
        live = self._table.models.get(name)
        held = live.routes.revision if live else 0
        is_held = live is not None or not self._table.limit
        if is_held and agreed and held != agreed and not self._failures.is_waiting(name, agreed):
            return agreed, True
        if newest != agreed and not self._failures.is_waiting(name, newest):
            return newest, False
        return 0, False

    def _begin(self, name: str, revision: int, *, is_agreed: bool) -> None:
        live = self._table.models.get(name)
        is_absent = live is None and bool(self._table.limit)
        candidate = Candidate(name, revision, is_agreed=is_agreed, is_absent=is_absent)
        self.candidates[name] = candidate
        if is_absent:
            return
        try:
            routes = self._following.routes(name, revision)
            self._table.make_room(name, self._assembly.size(routes))
            candidate.begin(routes, self._assembly.begin(routes, live))
        except EsteiraError as refused:
            self._refuse(name, candidate, refused)

    def _advance(self, name: str, candidate: Candidate) -> None:
        try:
            candidate.advance(self._assembly)
            if candidate.live is not None:
                self._table.check(candidate.live.size)
        except Exception as failure:  # noqa: BLE001 - whatever a bundle breaks, what serves goes on
            self._refuse(name, candidate, failure)
            return
        if candidate.is_ready and candidate.is_agreed:
            self._commit(name, candidate.revision)

    def _refuse(self, name: str, candidate: Candidate, failure: Exception) -> None:
        candidate.refuse(self._failures.report(name, candidate.revision, failure).reason)
        if candidate.is_agreed:  # the others serve it: there is no vote
            del self.candidates[name]

    def _exchange(self) -> None:
        voting = {name: each for name, each in self.candidates.items() if not each.is_agreed}
        votes = [*self._out, *(each.vote for each in voting.values() if not each.is_told)]
        open_ = {name: each for name, each in voting.items() if each.vote.state != "refused"}
        is_start = len(open_) > _MANY  # what is only loading need not hear of the others then
        pending = {name: each.revision for name, each in open_.items() if each.is_ready or not is_start}
        served = self._served
        if not (votes or pending or served or self._agreement.has_news()):
            return
        word = self._agreement.exchange(votes, pending, served)
        self._out, self._served, self._heard = [], {}, dict(word.heard)
        for name, each in voting.items():
            each.is_told = True
            if each.vote.state == "refused":
                del self.candidates[name]
        for name, revision in word.decided:
            self._commit(name, revision)
        self._former.clear()
        for name, heard in word.heard.items():
            self._listen(name, heard)

    def _listen(self, name: str, heard: Heard) -> None:
        """Report what keeps a candidate that is ready here from being served."""
        candidate, before = self.candidates.get(name), self._failures.by_model.get(name)
        if candidate is None or not candidate.is_ready:
            return
        is_known = before is not None and before.revision == candidate.revision
        if heard.refusal and not is_known:
            self._failures.report(name, candidate.revision, AnotherWorkerRefused(heard.refusal))
        elif candidate.age > self._load_s and heard.waits_for and not is_known:
            waits = WaitsForWorkers(heard.waits_for, candidate.age)
            self._failures.report(name, candidate.revision, waits)

    def _commit(self, name: str, revision: int) -> None:
        """Serve what was decided, if it is here; else begin to load it."""
        chosen = [each.get(name) for each in (self.candidates, self._former)]
        found = next((each for each in chosen if each is not None and each.revision == revision), None)
        self._dirty.add(name)  # there may be a newer one
        with self.agreeing:
            self.agreed[name] = revision
            before = self._table.models.get(name)
            is_absent = found is not None or not revision or (before is None and self._table.limit)
            if name in self._following.unloaded:
                return
            if found is not None and found.live is not None:
                self._table.put(found.live)
            elif is_absent:  # until it is asked for
                self._table.drop(name)
            else:
                return
        if found is not None and self.candidates.get(name) is found:
            del self.candidates[name]
        if revision:
            self._served[name] = revision
            self._held.add(name)
        failed = self._failures.by_model.get(name)
        if failed is not None and failed.revision <= revision:
            self._failures.forget(name)

    def _unload(self, name: str) -> None:
        had = name in self._table.models or name in self.candidates or name in self._held
        had = had or bool(self.agreed.get(name, 0))
        self.candidates.pop(name, None)
        self._failures.forget(name)
        with self.agreeing:
            self._table.drop(name)
            self.agreed.pop(name, None)
        self._held.discard(name)
        self._served.pop(name, None)  # the others are told that it is out, and nothing after that
        if had:
            self._out.append(Vote(name, 0, "out"))
