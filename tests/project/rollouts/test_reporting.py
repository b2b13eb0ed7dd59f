from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
from tests.web.rolled import active, rolled, rolled_once
from tests.web.stations import lived

from esteira.base.errors import NotFound, StorageUnwritable
from esteira.project.rollouts.plan_words import English
from esteira.project.rollouts.report import report_of
from esteira.project.rollouts.reporting import KINDS, has_report, keep_report, report_text, write_report
from esteira.project.rollouts.rolling import abort, promote_by_hand, resume
from esteira.serving.rollout.state import RolloutState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esteira.project.station import Station
    from esteira.serving.rollout.state import Rollout


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Station:
    return rolled_once(tmp_path_factory.getbasetemp())


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Station:
    return rolled(lived(tmp_path_factory.getbasetemp()), tmp_path / "p", looks=3)


def folder_of(station: Station, rollout: Rollout) -> Path:
    return station.settings.home / "rollouts" / rollout.id


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (abort, "Version 2 was rolled back; version 1 takes all the traffic."),
        (promote_by_hand, "Version 2 was promoted: it is the champion now."),
    ],
)
def test_a_rollout_that_ends_leaves_its_report(
    station: Station, end: Callable[[Station, str], Rollout], said: str
) -> None:
    ended = end(station, "enough seen")
    folder = folder_of(station, ended)
    assert {each.name for each in folder.iterdir()} == {f"report.{kind}" for kind in KINDS}
    assert said in (folder / "report.html").read_text(encoding="utf-8")
    assert said in (folder / "report.md").read_text(encoding="utf-8")
    told = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert told["state"] == str(ended.state)
    assert told["moves"][-1]["reason"] == "enough seen"
    assert told["arms"]["challenger"]["requests"] > 200


def test_a_report_that_cannot_be_written_is_logged_and_the_rollout_ends_all_the_same(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    rollout = active(station)
    (station.settings.home / "rollouts").mkdir(exist_ok=True)
    folder_of(station, rollout).write_text("in the way", encoding="utf-8")
    with pytest.raises(StorageUnwritable):
        write_report(station, rollout.id)
    with caplog.at_level(logging.ERROR):
        abort(station, "enough seen")
    assert "could not be written" in caplog.text
    routes = station.routes.get("tiny")
    assert routes is not None
    assert [(arm.version, arm.share) for arm in routes.arms] == [(1, 1.0)]


def test_a_report_of_one_under_way_is_written_as_it_stands(station: Station) -> None:
    path = write_report(station, active(station).id)
    assert path == folder_of(station, active(station)) / "report.html"
    assert "Until the next step" in path.read_text(encoding="utf-8")
    first = path.read_bytes()
    assert write_report(station, active(station).id).read_bytes() == first


def test_a_rollout_that_is_not_there_has_no_report(
    read_only: Station, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(NotFound):
        write_report(read_only, "nix")
    keep_report(read_only, "nix")
    assert "could not be written" in caplog.text


def test_each_kind_of_text_is_what_its_name_says(read_only: Station) -> None:
    report = report_of(read_only, active(read_only).id)
    assert report_text(report, "html", English(), "pt-BR").startswith('<!doctype html>\n<html lang="pt-BR">')
    assert report_text(report, "md").startswith("# Rollout of tiny: v2 against v1\n")
    assert json.loads(report_text(report, "json"))["id"] == report.rollout.id
    with pytest.raises(KeyError):
        report_text(report, "exe")


def test_a_report_from_before_the_end_is_none_of_the_end(station: Station) -> None:
    rollout = active(station)
    assert not has_report(station, rollout)
    write_report(station, rollout.id)
    assert has_report(station, rollout)
    ended = station.rollouts.finish(rollout, RolloutState.ROLLED_BACK, "killed before the report was written")
    assert not has_report(station, ended)
    resume(station)
    assert has_report(station, ended)
    (folder_of(station, ended) / "report.json").write_text("{", encoding="utf-8")
    assert not has_report(station, ended)
