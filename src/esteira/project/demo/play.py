"""The demo: the ring on real flights, from an empty folder to a retrained model in production."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from esteira.base.clock import SimulatedClock
from esteira.base.errors import BadInput
from esteira.base.files import write_atomic, writing
from esteira.base.settings import FILE as SETTINGS
from esteira.project.demo.client import ReplayClient
from esteira.project.demo.replay import Replay, publications
from esteira.project.demo.report import report
from esteira.project.feed import OnlineFeed
from esteira.project.pushes import publish_pushes
from esteira.project.ring import Ring
from esteira.project.station import AUDIT, open_station
from esteira.project.story import Story
from esteira.project.templates import write_template
from esteira.project.verifying import verify
from esteira.serving.process import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esteira.project.definition import Rehearsal
    from esteira.project.demo.report import Report
    from esteira.project.station import Station
    from esteira.project.story import StoryEvent
    from esteira.project.verifying import Finding

GO_LIVE = datetime(2013, 4, 1, tzinfo=UTC)
END = datetime(2013, 7, 12, tzinfo=UTC)
MARK = ".esteira/demo"
DAY = timedelta(days=1)


@dataclass(slots=True)
class Told:
    """How the demo speaks while it goes: a moment in 2013 with what is being done, and each event."""

    on_event: Callable[[StoryEvent], None]
    on_progress: Callable[[str, datetime, float], None]  # what, when, done from 0 to 1


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a demo."""

    report: Report
    findings: tuple[Finding, ...]
    answered: int
    failed: int
    failures: tuple[tuple[int, bytes], ...]
    replay_seconds: float  # sending, answering, features and labels; without the ring's own work
    ring_seconds: float  # ingestion, monitors, training and rollout
    total_seconds: float

    @property
    def whole(self) -> bool:
        """The ring did not break: every answer came and everything verifies."""
        return not self.failed and not any(f.problems for f in self.findings)


@dataclass(slots=True)
class _Seconds:
    replay: float = 0.0
    ring: float = 0.0
    started: float = field(default_factory=time.perf_counter)


def prepare(folder: Path) -> Path:
    """A fresh project folder for the demo; one that an earlier demo left, whole or killed, is emptied.

    The mark is the first file to come and the last to go. Raises: BadInput (a folder with something else in
    it), StorageUnwritable.
    """
    mark = folder / MARK
    with writing(folder):
        if mark.is_file():
            (folder / SETTINGS).unlink(missing_ok=True)  # from here on it is no project, not half of one
            _empty(folder, keep=mark)
        elif folder.exists() and not _is_bare(folder):
            raise BadInput(f"{folder} holds something that no demo made; give another one with --folder")
    write_atomic(mark, b"made by esteira demo; the next demo may empty this folder\n")
    write_template(folder)
    return folder


def _is_bare(folder: Path) -> bool:
    """Whether there is nothing but what a write that was cut off leaves."""
    return folder.is_dir() and all(
        path.is_dir() or path.name.startswith(".tmp-") for path in folder.rglob("*")
    )


def _empty(folder: Path, keep: Path) -> None:
    for path in folder.iterdir():
        if path == keep:
            continue
        if path in keep.parents:
            _empty(path, keep)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _untold(station: Station) -> Story:
    """The story of a demo whose state is as empty as its folder, wherever a variable puts it."""
    story = Story(station.state)
    if story.events(newest=1) or station.routes.names():
        raise BadInput(
            "the state store of the settings holds what a folder of this demo does not; unset "
            "ESTEIRA_STORES_STATE, or let it name an empty database"
        )
    return story


class Demo:
    """One replay of the year. Use as a context: leaving it stops the gateway."""

    def __init__(self, folder: Path, told: Told, *, go_live: datetime = GO_LIVE, end: datetime = END) -> None:
        if not go_live < end:
            raise BadInput(f"the demo must end after {go_live:%Y-%m-%d}, found {end:%Y-%m-%d}")
        self.station: Station = open_station(prepare(folder), actor="esteira demo")
        self._told, self._go_live, self._end = told, go_live, end
        self._story = _untold(self.station)
        self._stack = ExitStack()
        self._seconds = _Seconds()
        self._heard = 0

    def __enter__(self) -> Demo:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def play(self) -> Played:
        """Train on the first months, go live, replay, and measure. Raises: EsteiraError."""
        station, rehearsal = self.station, self.station.project.rehearsal
        clock = station.clock
        if not isinstance(clock, SimulatedClock) or rehearsal is None:
            raise BadInput("the demo needs a project with a rehearsal and a simulated clock")
        clock.set(self._go_live)
        before = (
            self._go_live - rehearsal.step
        )  # what is published at the go-live itself belongs to the replay
        ring = Ring(station)
        self._first_model(ring, before)
        publish_pushes(station)
        process = GatewayProcess(station.settings.root, port=0, audit=AUDIT)
        gateway = self._stack.enter_context(process)
        client = self._stack.enter_context(ReplayClient(gateway.url))
        feed = OnlineFeed(station.project.views, station.online, station.ledger)
        feed.catch_up(station.tables, before)
        published = publications(station.project.tables, before, self._end)
        replay = Replay(rehearsal, published, clock, feed, client)
        while clock.now() < self._end:
            self._day(replay, ring, rehearsal.step)
        gateway.stop()  # what it still holds is in its log then
        ring.drain()
        feed.catch_up(station.tables, clock.now())  # a person who asks now finds what the tables say
        return self._measure(client, rehearsal)

    def _first_model(self, ring: Ring, before: datetime) -> None:
        self._say("reading the flights of 2013", self._go_live)
        ring.ingest(before)
        self._say("training the first model", self._go_live)
        ring.first_model()
        self._listen()

    def _day(self, replay: Replay, ring: Ring, step: timedelta) -> None:
        station = self.station
        start = station.clock.now()
        end = min(start + DAY, self._end)
        self._say("replaying flights", start)
        begun = time.perf_counter()
        replay.until(end, station.project.name, ring.champion_signature())
        played = time.perf_counter()
        ring.ingest(end - step)
        ring.tick(end)
        self._seconds.replay += played - begun
        self._seconds.ring += time.perf_counter() - played
        self._listen()

    def _measure(self, client: ReplayClient, rehearsal: Rehearsal) -> Played:
        self._say("measuring", self._end)
        return Played(
            report(self.station, rehearsal),
            verify(self.station),
            client.answers.count,
            client.answers.failed,
            tuple(client.answers.failures),
            self._seconds.replay,
            self._seconds.ring,
            time.perf_counter() - self._seconds.started,
        )

    def _say(self, what: str, at: datetime) -> None:
        self._told.on_progress(what, at, (at - self._go_live) / (self._end - self._go_live))

    def _listen(self) -> None:
        for event in self._story.events(after=self._heard):
            self._heard = event.seq
            self._told.on_event(event)
