from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.web.rolled import active, rolled_once

from esteira.project.rollouts.drawings import SplitBar
from esteira.project.rollouts.plan_words import English
from esteira.project.rollouts.report import RolloutReport, report_of
from esteira.project.rollouts.report_sections import Part, parts_of
from esteira.serving.rollout.evidence import Agreement, Split
from esteira.serving.rollout.state import RolloutState
from esteira.serving.rollout.strategies import Shadow

if TYPE_CHECKING:
    from esteira.project.station import Station

SAY = English()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> RolloutReport:
    station: Station = rolled_once(tmp_path_factory.getbasetemp())
    return report_of(station, active(station).id)


def parts(report: RolloutReport, *lately: SplitBar) -> dict[str, Part]:
    return {each.name: each for each in parts_of(report, SAY, lately)}


def test_one_under_way_says_what_it_waits_for_and_one_that_ended_does_not(report: RolloutReport) -> None:
    names = ["verdict", "needs", "split", "labels", "arms", "guards", "moves", "plan", "unknown"]
    assert [*parts(report)] == names
    ended = replace(report, rollout=replace(report.rollout, state=RolloutState.PROMOTED))
    assert [*parts(ended)] == [each for each in names if each != "needs"]
    assert parts(ended)["unknown"].title == "What stayed unknown"


def test_every_row_is_as_long_as_its_columns(report: RolloutReport) -> None:
    for each in parts(report).values():
        assert {len(row) for row in each.rows} <= {len(each.columns)}
        assert all(place < len(each.columns) for place in each.numbers)


def test_the_split_shows_what_was_intended_beside_what_was_dealt(report: RolloutReport) -> None:
    found = parts(report, SplitBar("dealt in the last minute", 0.3, "10 requests"))["split"]
    for said in ("intended", "dealt at this step: 1,496 requests", "dealt in the last minute: 10 requests"):
        assert said in found.drawing
    assert found.rows[0][1] == "20.0%"
    assert found.rows[0][-1] == "yes"


def test_a_split_that_is_another_is_alarming(report: RolloutReport) -> None:
    (dealt,) = report.traffic.dealt
    other = replace(dealt, keys=Split(500, 900, 0.2))
    found = parts(replace(report, traffic=replace(report.traffic, dealt=(dealt, other))))["split"]
    assert [row[-1] for row in found.rows] == ["no: sample-ratio mismatch", "yes"]
    assert found.alarming == [0]


def test_a_shadow_has_no_split_and_says_on_what_both_agreed(report: RolloutReport) -> None:
    mirrored = replace(
        report,
        rollout=replace(report.rollout, plan=Shadow(mirror=0.5)),
        traffic=replace(report.traffic, dealt=(), agreement=Agreement(90, 100)),
    )
    found = parts(mirrored)
    assert found["split"].drawing == ""
    assert "50% of them" in found["split"].said[0]
    assert "90 of 100" in found["arms"].said[0]


def test_both_versions_stand_in_one_table_and_one_drawing(report: RolloutReport) -> None:
    found = parts(report)["arms"]
    assert [row[0] for row in found.rows] == ["champion v1", "challenger v2"]
    assert "challenger v2" in found.drawing
    assert re.match(r"\d+ \(0\.\d+%\)", found.rows[0][2])


def test_moves_stand_newest_first_with_who_made_them(report: RolloutReport) -> None:
    found = parts(report)["moves"]
    assert [row[1] for row in found.rows] == ["began", "asked for"]
    assert {row[3] for row in found.rows} == {"ana"}


def test_a_guard_that_fires_is_alarming_and_says_why(report: RolloutReport) -> None:
    first = replace(report.guards[0], state="fires", reason="3 scores are no numbers")
    found = parts(replace(report, guards=[first, *report.guards[1:]]))["guards"]
    assert found.alarming == [0]
    assert found.said == ["3 scores are no numbers"]


def test_labels_are_drawn_with_the_margin_of_the_plan(report: RolloutReport) -> None:
    found = parts(report)["labels"]
    assert 'class="limit"' in found.drawing
    assert dict(found.facts)["margin"] == "0.02"
    healthy = replace(report.rollout, plan=Shadow())
    without = parts(replace(report, rollout=healthy))["labels"]
    assert 'class="limit"' not in without.drawing
    assert "margin" not in dict(without.facts)
