"""What the tests of streaming share: a folder with versions of a model, and scorers that can be killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.serving.worlds import NOON, PLAIN, tree_model

from esteira.base.clock import SimulatedClock
from esteira.base.databases import open_database
from esteira.data.tables import open_tables
from esteira.features.online import OnlineReader
from esteira.features.stores import open_store
from esteira.pipelines.artifacts import ArtifactStore
from esteira.registry.signature import Column, Signature
from esteira.serving.live.arms import load_arm
from esteira.serving.routes import Arm
from esteira.serving.stream_ledger import StreamLedger
from esteira.serving.stream_results import StreamResults, rejected_of
from esteira.serving.streaming import Limits, StreamScorer
from esteira.serving.streams.local import LocalStream

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.registry.bundle import Model
    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.streams.port import Stream

TABLE = "scores"
MILES = Signature((Column("miles"),), "late")
GOOD = b'{"miles": 400, "carrier": "AA"}'  # to PLAIN
Spot = tuple[int, int]


class Killed(BaseException):
    """The end of a process, at a place that the test has chosen."""


class Mortal:
    """A part whose named acts end the process when the lives are used up, before or after the act."""

    def __init__(self, inner: Any, acts: set[str], lives: list[int]) -> None:
        self._inner, self._acts, self._lives = inner, acts, lives

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._acts:
            return found

        def acted(*given: Any, **named: Any) -> Any:
            self._live()
            done = found(*given, **named)
            self._live()
            return done

        return acted

    def _live(self) -> None:
        self._lives[0] -= 1
        if self._lives[0] == 0:
            raise Killed


class StreamWorld:
    """A local stream, two versions of a model, and the tables: all in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, SimulatedClock(start=NOON)
        self.stream = LocalStream(f"file:{folder}/inbox")
        self.artifacts = ArtifactStore(f"file:{folder}/artifacts")
        self.online = open_store("memory:")
        self.tables = open_tables(f"delta:{folder}/tables")
        self.model = self.version(1, tree_model(0.5, PLAIN))

    def version(self, number: int, model: Model) -> LoadedArm:
        digest = self.artifacts.put(model).digest
        reader = lambda views: OnlineReader(self.online, views)  # noqa: E731 - one line
        return load_arm(Arm("champion", number, digest, 1.0), self.artifacts.folder, reader)

    def current(self) -> LoadedArm:
        return self.model

    def ledger(self, stream: Stream | None = None) -> StreamLedger:
        database = open_database(f"sqlite:{self.folder}/state.db")
        return StreamLedger(database, TABLE, (stream or self.stream).identity)

    def scorer(
        self, limits: Limits | None = None, *, stream: Stream | None = None, lives: int = 0
    ) -> StreamScorer:
        """A scorer as a new process would open it; it dies after so many acts, or never when that is 0."""
        mine, left = stream or LocalStream(f"file:{self.folder}/inbox"), [lives]
        tables: Any = Mortal(open_tables(f"delta:{self.folder}/tables"), {"append"}, left)
        results = StreamResults(tables, TABLE, mine.identity, "late", self.clock)
        ledger: Any = Mortal(self.ledger(mine), {"plan", "passed"}, left)
        told: Any = Mortal(mine, {"acknowledge"}, left)
        return StreamScorer(told, self, results, ledger, limits or Limits(100, linger_s=0.0))

    def scored(self) -> list[dict[str, Any]]:
        return self.tables.read(TABLE).to_pylist()

    def rejected(self) -> list[dict[str, Any]]:
        return self.tables.read(rejected_of(TABLE)).to_pylist()

    def spots(self) -> list[Spot]:
        """Where the rows of both tables come from."""
        return [(row["partition"], row["position"]) for row in (*self.scored(), *self.rejected())]
