"""Check that everything the project keeps is what it was when it was written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from esteira.base.errors import EsteiraError
from esteira.project.datasets import check_manifests
from esteira.project.release import CHAMPION
from esteira.registry.bundle import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esteira.project.station import Station


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked: no `problems` when it is whole; what is `under_way` completes by itself."""

    what: str
    checked: int
    problems: tuple[str, ...]
    under_way: tuple[str, ...] = ()


def verify(station: Station) -> tuple[Finding, ...]:
    """Check the audit chain, every table's files, every artifact, manifest and registered bundle, the routes.

    A store that cannot even be opened is a problem found, not the end of the search. Raises: as
    `Station.project` says.
    """
    _ = station.project
    return tuple(_looked(what, check, station) for what, check in _CHECKS.items())


def _looked(what: str, check: Callable[[Station], Finding], station: Station) -> Finding:
    try:
        return check(station)
    except EsteiraError as broken:
        return Finding(what, 0, (str(broken),))


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


def _datasets(station: Station) -> Finding:
    count, problems = check_manifests(station)
    return Finding("training sets", count, tuple(problems))


def _models(station: Station) -> Finding:
    versions = [v for v in station.registry.versions(station.project.name) if v.digest]
    problems = []
    for version in versions:
        ours = station.artifacts.folder(version.digest)
        copies: dict[str, Callable[[], object]] = {"ours": partial(Model.load, ours)} if ours.is_dir() else {}
        copies["the registry's"] = partial(station.registry.fetch, version.name, version.version)
        for whose, check in copies.items():
            try:
                check()
            except EsteiraError as broken:
                problems.append(f"version {version.version}, {whose}: {broken}")
    return Finding("model versions", len(versions), tuple(problems))


def _routes(station: Station) -> Finding:
    name = station.project.name
    routes, rollout = station.routes.get(name), station.rollouts.active(name)
    champion = station.registry.alias(name, CHAMPION)
    said = None if champion is None else champion.version
    serving = None if routes is None else routes.champion.version
    under_way = _promotions_under_way(station)
    problems = []
    if said != serving and not under_way:
        mend = "a round of esteira up completes a promotion, esteira deploy decides anew"
        problems.append(f"version {serving} serves, the registry's champion is {said}; {mend}")
    for arm in routes.arms if routes is not None else ():
        if not station.artifacts.folder(arm.digest).is_dir():
            mend = f"bring it back with: esteira deploy {arm.version}"
            problems.append(
                f"version {arm.version} serves, but its bundle is not among the artifacts; {mend}"
            )
    if routes is not None and len(routes.arms) > 1 and rollout is None:
        mend = "a round of esteira up completes what was cut off"
        problems.append(f"the traffic is split though no rollout is under way; {mend}")
    return Finding("routes", 0 if routes is None else len(routes.arms), tuple(problems), under_way)


def _promotions_under_way(station: Station) -> tuple[str, ...]:
    """Those to champion that a gateway was asked for or a kill cut off: alias and routes follow them."""
    mend = "the next round of esteira up, esteira deploy or esteira rollback completes it"
    return tuple(
        f"the promotion of version {each.version} to {CHAMPION} is under way; {mend}"
        for each in station.promotions.intended(station.project.name)
        if each.alias == CHAMPION
    )


_CHECKS: Mapping[str, Callable[[Station], Finding]] = {
    "audit chain": _audit,
    "tables": _tables,
    "artifacts": _artifacts,
    "training sets": _datasets,
    "model versions": _models,
    "routes": _routes,
}
