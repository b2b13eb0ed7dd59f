"""A project's model at a stream: the champion, or a version that was named, into a table."""

from __future__ import annotations

import logging
from functools import cache, partial
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, EsteiraError, NotFound
from esteira.features.online import OnlineReader
from esteira.features.stores import open_store
from esteira.project.release import CHAMPION, arm, deployable
from esteira.project.result_tables import refuse_filled
from esteira.serving.live.arms import load_arm
from esteira.serving.stream_ledger import StreamLedger
from esteira.serving.stream_publishing import PublishedResults
from esteira.serving.stream_results import StreamResults, rejected_of
from esteira.serving.streaming import StreamScorer

if TYPE_CHECKING:
    from esteira.features.stores.port import OnlineStore
    from esteira.project.station import Station
    from esteira.registry.signature import ViewRef
    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.routes import Arm
    from esteira.serving.streaming import Limits
    from esteira.serving.streams.port import Stream

log = logging.getLogger(__name__)


class FollowedModel:
    """The version that scores a stream: the champion as the routes have it, or always the one that is pinned.

    Nobody waits for one message, so the members of a combination have no deadline.
    Raises: NotFound (no champion, no such version), BadInput (a version that esteira did not register, a
    model of tensors), and what loading raises.
    """

    def __init__(self, station: Station, pinned: int | None = None) -> None:
        self._station = station
        self._pinned = None if pinned is None else arm("pinned", deployable(station, pinned), 1.0)
        self._online = cache(partial(_online, station))
        self._given_up: Arm | None = None
        self._loaded = self._load(self._wanted())

    def current(self) -> LoadedArm:
        """The version for the next batch. A champion that cannot be loaded is passed over, logged once."""
        wanted = self._wanted()
        if wanted not in (self._loaded.arm, self._given_up):
            try:
                self._loaded = self._load(wanted)
                self._given_up = None
            except EsteiraError as failed:
                self._given_up = wanted
                facts = {"version": wanted.version, "kept": self._loaded.arm.version}
                log.error("the new champion cannot score the stream: %s", failed, extra=facts)
        return self._loaded

    def _wanted(self) -> Arm:
        if self._pinned is not None:
            return self._pinned
        name = self._station.project.name
        routes = self._station.routes.get(name)
        if routes is None:
            raise NotFound(CHAMPION, name, "deploy one: esteira deploy N; or name one: --version N")
        return routes.champion

    def _load(self, wanted: Arm) -> LoadedArm:
        loaded = load_arm(wanted, self._station.artifacts.folder, self._reader, is_patient=True)
        if loaded.tensors is not None:
            raise BadInput(f"version {wanted.version} takes tensors, and a message is one row of columns")
        return loaded

    def _reader(self, views: tuple[ViewRef, ...]) -> OnlineReader:
        return OnlineReader(self._online(), views)


def _online(station: Station) -> OnlineStore:
    return open_store(station.settings.store("online"), readonly=True)


def stream_scorer(
    station: Station,
    stream: Stream,
    table: str,
    *,
    version: int | None = None,
    limits: Limits | None = None,
    outlet: Stream | None = None,
) -> StreamScorer:
    """What scores a stream into a table of the project, and its `_rejected` beside it.

    What was scored goes to another stream too, if there is an `outlet`: each at least once.
    Raises: as `FollowedModel`, BadInput (a table that the project fills itself, or no name of one),
    SchemaChanged (a table of that name with other columns), StorageUnwritable; as `PublishedResults`.
    """
    for each in (table, rejected_of(table)):
        refuse_filled(station, each)
    model = FollowedModel(station, version)
    name = station.project.name
    tables = StreamResults(station.tables, table, stream.identity, name, station.clock)
    results = tables if outlet is None else PublishedResults(tables, stream, outlet)
    return StreamScorer(stream, model, results, StreamLedger(station.state, table, stream.identity), limits)
