"""Check that everything the project keeps is what it was when it was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError
from esteira.project.release import load_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.project.station import Station


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked; `problems` is empty when it is whole."""

    what: str
    checked: int
    problems: tuple[str, ...]


def verify(station: Station) -> tuple[Finding, ...]:
    """Check the audit chain, every table's files, every artifact, every registered bundle, the routes."""
    checks: tuple[Callable[[Station], Finding], ...] = (_audit, _tables, _artifacts, _models, _routes)
    return tuple(check(station) for check in checks)


def _audit(station: Station) -> Finding:
    verified = station.audit.verify()
    broken = verified.broken
    problems = () if broken is None else (f"record {broken.seq}: {broken.reason}",)
    return Finding("audit chain", verified.records, problems)


def _tables(station: Station) -> Finding:
    names = station.tables.names()
    return Finding("tables", len(names), tuple(p for name in names for p in station.tables.check(name)))


def _artifacts(station: Station) -> Finding:
    problems = tuple(station.artifacts.check())
    return Finding("artifacts", station.artifacts.count(), problems)


def _models(station: Station) -> Finding:
    versions = [v for v in station.registry.versions(station.project.name) if v.digest]
    problems = []
    for version in versions:
        try:
            load_model(station, version)
        except EsteiraError as broken:
            problems.append(f"version {version.version}: {broken}")
    return Finding("model versions", len(versions), tuple(problems))


def _routes(station: Station) -> Finding:
    routes = station.routes.get(station.project.name)
    if routes is None:
        return Finding("routes", 0, ())
    champion = station.registry.alias(station.project.name, "champion")
    serving = routes.champion.version
    said = None if champion is None else champion.version
    problems = () if said == serving else (f"version {serving} serves, the registry's champion is {said}",)
    return Finding("routes", len(routes.arms), problems)
