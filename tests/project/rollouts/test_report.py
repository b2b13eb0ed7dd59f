from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.web.rolled import active, rolled_once

from esteira.base.errors import NotFound
from esteira.project.rollouts.report import latency_of, plain, report_of
from esteira.serving.rollout.evidence import ArmSeen
from esteira.serving.rollout.strategies import plan_of

if TYPE_CHECKING:
    from esteira.project.station import Station


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Station:
    return rolled_once(tmp_path_factory.getbasetemp())


def test_a_report_holds_the_history_and_the_evidence_up_to_now(station: Station) -> None:
    report = report_of(station, active(station).id)
    assert [each.act for each in report.moves] == ["asked for", "began"]
    assert [each.who for each in report.moves] == ["ana", "ana"]
    assert len(report.looks) == 40
    assert report.last_look == report.looks[-1]
    assert report.at == station.clock.now()
    assert report.time_at_step == station.clock.now() - active(station).step_since
    assert not report.is_at_last_step


def test_a_report_of_what_has_ended_is_as_of_its_end(station: Station) -> None:
    ended = station.rollouts.history("tiny")[0]
    report = report_of(station, ended.id)
    assert report.at == report.moves[-1].at < station.clock.now()
    assert report.moves[-1].act == "rolled back"


def test_a_later_report_reads_the_history_anew_and_the_tables_not(station: Station) -> None:
    earlier = report_of(station, active(station).id)
    later = report_of(station, active(station).id, earlier)
    assert later.traffic is earlier.traffic
    assert later.guards is earlier.guards
    assert later.moves is not earlier.moves


def test_the_plain_report_is_json_that_says_all(station: Station) -> None:
    rollout = active(station)
    told = json.loads(json.dumps(plain(report_of(station, rollout.id)), allow_nan=False))
    assert plan_of(told["plan"]) == rollout.plan
    assert told["arms"]["champion"]["requests"] + told["arms"]["challenger"]["requests"] == 1_500
    assert sum(told["scores"]["challenger"]) == told["dealt"][0]["challenger"]
    assert len(told["scores"]["edges"]) == len(told["scores"]["champion"]) + 1
    assert told["dealt"][0]["keys"]["share"] == 0.2
    assert told["looks"][-1]["high"] < 0
    assert [each["act"] for each in told["moves"]] == ["asked for", "began"]
    assert {each["state"] for each in told["guards"]} == {"quiet", "not asked for"}


def test_what_was_never_seen_is_null_in_json(station: Station) -> None:
    told = plain(report_of(station, station.rollouts.history("tiny")[0].id))
    assert told["arms"]["champion"]["p99_s"] is None
    assert told["agreement"] is None


def test_latencies_of_nothing_are_not_known() -> None:
    assert latency_of(ArmSeen(), 0.5) is None
    assert latency_of(ArmSeen(latencies=np.arange(101.0)), 0.99) == 99


def test_a_rollout_that_is_not_there_is_said_so(station: Station) -> None:
    with pytest.raises(NotFound, match="rollout 'nix'"):
        report_of(station, "nix")
