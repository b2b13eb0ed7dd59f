from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.web.rolled import active, rolled
from tests.web.stations import NOW, lived

from esteira.base.clock import to_micros
from esteira.base.records import Label
from esteira.monitoring.prediction_log import LabelLog
from esteira.project.ring import Ring
from esteira.project.rollouts.rolling import abort, pause, start_rollout
from esteira.serving.draining import Draining
from esteira.serving.live.agreement import Agreement
from esteira.serving.rollout.strategies import Shadow
from esteira.serving.telemetry.metrics import Metrics
from esteira.web.gateways import gateways
from esteira.web.pulse import Pulses
from esteira.web.rollouts import RolloutPage, RolloutPages
from esteira.web.words import Words

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.project.rollouts.report import RolloutReport
    from esteira.project.station import Station

SAY = Words("en")


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Station:
    return rolled(lived(tmp_path_factory.getbasetemp()), tmp_path / "p", looks=3)


def pages_of(station: Station) -> RolloutPages:
    return RolloutPages(station, Pulses(station.settings))


def test_tables_are_read_anew_only_when_they_have_changed(station: Station) -> None:
    pages, rollout = pages_of(station), active(station)
    first, second = pages.report(rollout.id), pages.report(rollout.id)
    assert second.traffic is first.traffic
    labels, at = LabelLog(station.settings.store("predictions"), "w2"), to_micros(NOW)
    labels.write(Label("r8", 1.0, at, at))
    labels.close()
    Ring(station).drain()
    assert pages.report(rollout.id).traffic is not first.traffic


def test_a_move_shows_at_once_though_no_table_changed(station: Station) -> None:
    pages, rollout = pages_of(station), active(station)
    pages.report(rollout.id)
    pause(station, "look closer")
    report = pages.report(rollout.id)
    assert report.moves[-1].reason == "look closer"
    assert report.rollout.state.value == "paused"


def test_the_reports_that_are_kept_are_few(station: Station) -> None:
    pages = pages_of(station)
    kept: dict[object, RolloutReport] = pages._reports
    for n in range(6):
        pages.report(active(station).id)
        labels, at = LabelLog(station.settings.store("predictions"), f"v{n}"), to_micros(NOW)
        labels.write(Label("r8", 1.0, at, at))
        labels.close()
        Ring(station).drain()
    assert len(kept) == 4


def test_the_page_tells_state_step_and_buttons_in_the_readers_language(station: Station) -> None:
    page = pages_of(station).one(active(station).id, Words("pt-BR"))
    assert page.standing == "no passo 1 de 3, com 20%"
    assert "executando" in page.state
    assert [each.act for each in page.buttons] == ["pause", "promote", "abort"]
    assert page.seen == "running/0"


def test_a_shadow_stands_at_no_step_and_is_asked_besides(station: Station) -> None:
    abort(station, "over")
    start_rollout(station, 2, "see what it says", Shadow(mirror=0.5))
    page = pages_of(station).one(active(station).id, SAY)
    assert page.standing == "asked 50% besides"
    assert split_of(page) == ""


def test_an_ended_rollout_has_no_buttons_and_another_may_begin(station: Station) -> None:
    pages, rollout = pages_of(station), active(station)
    before = pages.all(SAY)
    assert (before.versions, bool(before.active)) == ((), True)
    abort(station, "over")
    assert pages.one(rollout.id, SAY).buttons == ()
    after = pages.all(SAY)
    assert (after.versions, after.active, after.strategy) == ((2,), "", "canary")


def test_without_a_champion_nothing_can_begin(empty: Station) -> None:
    page = pages_of(empty).all(SAY)
    assert page.versions == ()
    assert page.listed.rows == []


def test_what_the_gateway_dealt_in_the_last_minute_has_its_bar(station: Station) -> None:
    folder = station.settings.home / "gateway" / "8123"
    folder.mkdir(parents=True)
    worker = f"w{os.getpid()}"
    Draining(folder)
    metrics, agreement = Metrics(folder, worker), Agreement(folder, worker)
    pulses = Pulses(station.settings)
    pages, rollout = RolloutPages(station, pulses), active(station)
    assert "dealt in the last minute: 0 requests" in split_of(pages.one(rollout.id, SAY))
    for version, count in (("1", 60), ("2", 40), ("3", 9)):
        for _ in range(count):
            metrics.requests.add(("tiny", version, "champion", "oip", "200"))
    (gateway,) = gateways(station.settings).running
    pulse = pulses.of(gateway)
    assert pulse._last is not None
    pulse._last = (pulse._last[0] - 5, pulse._last[1])  # the next look is due
    drawn = split_of(pages.one(rollout.id, SAY))
    assert "dealt in the last minute: 100 requests" in drawn
    assert "40.0%" in drawn
    metrics.close()
    agreement.close()


def split_of(page: RolloutPage) -> str:
    return next(str(drawing) for part, drawing in page.parts if part.name == "split")
