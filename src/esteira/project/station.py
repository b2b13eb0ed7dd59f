"""The assembly: a project folder with all its stores, each opened when first asked for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.base.clock import open_clock
from esteira.base.databases import open_database
from esteira.base.settings import load_settings
from esteira.data.tables import open_tables
from esteira.features.ledger import FeatureLedger
from esteira.features.stores import open_store
from esteira.governance.ledger import AuditLedger
from esteira.monitoring.alerts import AlertMachine
from esteira.pipelines.artifacts import ArtifactStore
from esteira.pipelines.journal import Journal
from esteira.project.loader import load_project
from esteira.registry.backends import open_backend
from esteira.registry.promotions import PromotionJournal
from esteira.serving.rollout.store import RolloutStore
from esteira.serving.routes import RouteStore
from esteira.serving.runtimes.permission import Permission, permit

if TYPE_CHECKING:
    from esteira.base.databases.port import SqlDatabase
    from esteira.base.ports import Clock
    from esteira.base.records import ModelVersion
    from esteira.base.settings import Settings
    from esteira.data.tables.port import TableStore
    from esteira.features.stores.port import OnlineStore
    from esteira.project.definition import Project
    from esteira.registry.backends.port import Backend


AUDIT = f"{AuditLedger.__module__}:{AuditLedger.__qualname__}"  # what a gateway is told to open


class Station:
    """Everything that one project folder holds. Opening it reads settings only.

    Raises: NotFound, BadInput, UnknownName, as `load_settings` and `load_project` say.
    """

    def __init__(self, folder: Path, *, actor: str = "esteira") -> None:
        self.settings: Settings = load_settings(folder)
        permit(Permission(self.settings.gateway.allow_pyfunc, self.settings.gateway.pyfunc_seconds))
        self.actor = actor
        self._versions: dict[int, ModelVersion] = {}

    @cached_property
    def project(self) -> Project:
        return load_project(self.settings.root / self.settings.project.file)

    @cached_property
    def clock(self) -> Clock:
        return open_clock(self.settings.clock_url())

    @cached_property
    def state(self) -> SqlDatabase:
        return open_database(self.settings.store("state"))

    @cached_property
    def audit(self) -> AuditLedger:
        return AuditLedger(self.settings.store("audit"), self.clock, self.actor)

    @cached_property
    def tables(self) -> TableStore:
        return open_tables(self.settings.store("tables"), clock=self.clock)

    @cached_property
    def artifacts(self) -> ArtifactStore:
        return ArtifactStore(self.settings.store("artifacts"))

    @cached_property
    def journal(self) -> Journal:
        return Journal(self.settings.store("journal"))

    @cached_property
    def registry(self) -> Backend:
        return open_backend(self.settings.store("tracking"), home=self.settings.home)

    def version(self, number: int) -> ModelVersion:
        """A registered version of this project's model, read once: what it says never changes.

        Its aliases do; ask the registry for those. Raises: NotFound.
        """
        if number not in self._versions:
            self._versions[number] = self.registry.version(self.project.name, number)
        return self._versions[number]

    @cached_property
    def promotions(self) -> PromotionJournal:
        return PromotionJournal(self.settings.store("state"), self.registry, self.audit, self.clock)

    @cached_property
    def routes(self) -> RouteStore:
        return RouteStore(self.settings.store("state"))

    @cached_property
    def rollouts(self) -> RolloutStore:
        return RolloutStore(self.settings.store("state"), self.audit, self.clock)

    @cached_property
    def alerts(self) -> AlertMachine:
        return AlertMachine(self.state)

    @cached_property
    def online(self) -> OnlineStore:
        return open_store(self.settings.store("online"))

    @cached_property
    def ledger(self) -> FeatureLedger:
        return FeatureLedger(self.settings.store("features"), self.clock)


def open_station(folder: Path | str = ".", *, actor: str = "esteira") -> Station:
    """The station of a project folder. Raises: NotFound when there is no esteira.toml."""
    return Station(Path(folder), actor=actor)
