"""The pages of rollouts: all of them, and one as it goes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from esteira.base.errors import EsteiraError
from esteira.project.rollouts.drawings import SplitBar
from esteira.project.rollouts.report import report_of
from esteira.project.rollouts.report_sections import parts_of
from esteira.project.rollouts.traffic import SOURCES
from esteira.serving.rollout.strategies import STRATEGIES
from esteira.web.cells import moment, rollout_link, tag
from esteira.web.gateways import gateways
from esteira.web.pages import Section
from esteira.web.pressing import buttons_of, seen_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.project.rollouts.report import RolloutReport
    from esteira.project.rollouts.report_sections import Part
    from esteira.project.station import Station
    from esteira.serving.rollout.state import Rollout
    from esteira.web.pressing import Button
    from esteira.web.pulse import Pulses
    from esteira.web.words import Words

_KEPT = 4  # reports whose numbers stay in memory


@dataclass(frozen=True, slots=True)
class RolloutPage:
    """What the template of one rollout shows; texts are in the reader's language."""

    id: str
    state: Markup
    standing: str
    parts: Sequence[tuple[Part, Markup]]  # each with its drawing
    buttons: Sequence[Button]
    seen: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class RolloutsPage:
    """What the template of all rollouts shows."""

    listed: Section
    active: Markup  # a link to the one under way; empty when there is none
    versions: Sequence[int]  # that a rollout could begin with, newest first
    strategies: Sequence[str]
    strategy: str  # the project's


class RolloutPages:
    """The pages of one station; numbers are read anew only when there are new ones."""

    def __init__(self, station: Station, pulses: Pulses) -> None:
        self._station, self._pulses = station, pulses
        self._reports: dict[object, RolloutReport] = {}
        self._reading = threading.Lock()

    def report(self, rollout_id: str) -> RolloutReport:
        """The report of a rollout as it stands now. Raises: NotFound, CorruptArtifact."""
        key = self._key(self._station.rollouts.get(rollout_id))
        with self._reading:  # of many who look at once, one reads
            earlier = self._reports.pop(key, None)
            report = report_of(self._station, rollout_id, earlier)
            self._reports[key] = report
            for oldest in [*self._reports][:-_KEPT]:
                del self._reports[oldest]
        return report

    def _key(self, rollout: Rollout) -> object:
        tables = self._station.tables
        versions = tuple(tables.version(name).version for name in tables.names() if name in SOURCES)
        return rollout.id, rollout.state, rollout.step, rollout.step_since, versions

    def one(self, rollout_id: str, say: Words) -> RolloutPage:
        """The page of one rollout. Raises: NotFound, CorruptArtifact."""
        report = self.report(rollout_id)
        rollout = report.rollout
        parts = parts_of(report, say, self._lately(rollout, say))
        return RolloutPage(
            id=rollout.id,
            state=tag(rollout.state, say),
            standing=_standing(rollout, say),
            parts=[(each, Markup(each.drawing)) for each in parts],
            buttons=buttons_of(rollout),
            seen=seen_of(rollout),
            is_active=rollout.is_active,
        )

    def _lately(self, rollout: Rollout, say: Words) -> list[SplitBar]:
        """What the gateway dealt in the last minute, while it runs."""
        gateway = gateways(self._station.settings).chosen(self._station.settings.gateway.port)
        if gateway is None or not rollout.is_active or rollout.plan.mirrored:
            return []
        counts = {rollout.champion_version: 0.0, rollout.challenger_version: 0.0}
        requests = self._pulses.of(gateway).recent().fresh.get("esteira_requests_total", {})
        for labels, numbers in requests.items():
            if labels[0] == rollout.model and labels[1].isdecimal() and int(labels[1]) in counts:
                counts[int(labels[1])] += numbers[0]
        asked = sum(counts.values())
        note = f"{say.count(round(asked))} {say('requests')}"
        share = counts[rollout.challenger_version] / asked if asked else None
        return [SplitBar(say("dealt in the last minute"), share, note)]

    def all(self, say: Words) -> RolloutsPage:
        """The page of all rollouts, the newest first. Raises: NotFound, CorruptArtifact."""
        station = self._station
        name = station.project.name
        history = station.rollouts.history(name)[::-1]
        history.sort(key=lambda each: not each.is_active)  # the one under way stands on top
        active = next((each for each in history if each.is_active), None)
        columns = ("rollout", "version", "strategy", "state", "started", "why")
        rows = [
            (
                rollout_link(each.id, say),
                f"v{each.champion_version} → v{each.challenger_version}",
                each.plan.strategy,
                tag(each.state, say),
                moment(each.started_at),
                each.reason,
            )
            for each in history
        ]
        return RolloutsPage(
            listed=Section(columns=columns, rows=rows),
            active=Markup("") if active is None else rollout_link(active.id, say),
            versions=() if active is not None else self._challengers(name),
            strategies=tuple(STRATEGIES),
            strategy=station.project.rollout.strategy,
        )

    def _challengers(self, name: str) -> tuple[int, ...]:
        routes = self._station.routes.get(name)
        if routes is None:
            return ()
        try:
            versions = self._station.registry.versions(name)
        except EsteiraError:  # a registry that does not answer; the history is told all the same
            return ()
        numbers = (each.version for each in versions if each.digest)
        return tuple(sorted((each for each in numbers if each != routes.champion.version), reverse=True))


def _standing(rollout: Rollout, say: Words) -> str:
    """Step and share."""
    if not rollout.has_begun:
        return ""
    if rollout.plan.mirrored:
        return say("asked {share} besides").format(share=f"{rollout.plan.mirrored:.0%}")
    share = f"{rollout.share:.0%}"
    if rollout.plan.moves_freely or rollout.plan.steps == 1:
        return say("with {share}").format(share=share)
    text = say("at step {step} of {steps}, with {share}")
    return text.format(step=rollout.step + 1, steps=rollout.plan.steps, share=share)
