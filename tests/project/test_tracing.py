from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.project.worlds import answer, esteira, refused

from esteira.base.errors import NotFound
from esteira.base.records import RunStatus
from esteira.project.tracing import trace_prediction

if TYPE_CHECKING:
    from esteira.governance.trace import Trace
    from esteira.project.station import Station


def asked(station: Station, version: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = station.tables.read(
        "predictions", where=[("version", "==", version)]
    ).to_pylist()
    return rows


def traced(station: Station, version: int, at: int) -> tuple[dict[str, object], Trace]:
    row = asked(station, version)[at]
    return row, trace_prediction(station, str(row["id"]))


@pytest.mark.slow
def test_a_prediction_leads_back_to_its_data_its_code_and_its_approval(played: Station) -> None:
    row, found = traced(played, 3, -1)
    assert found.prediction["score"] == row["score"]
    assert found.version.version == 3
    assert found.run is not None
    assert found.run.status is RunStatus.DONE
    assert found.run.id == found.version.run_id
    assert {each for each in found.run.inputs.values() if each.startswith("events@")}
    assert found.run.parameters["holdout_days"] == 3
    assert [step.step for step in found.steps] == [
        "spine",
        "questions",
        "train",
        "holdout",
        "model",
        "baseline",
    ]
    assert all(len(step.key) == 64 for step in found.steps)
    assert found.routes is not None
    assert found.routes.champion.version == 3
    acts = [f"{event.action} {event.facts.get('alias', '')}".strip() for event in found.audit]
    assert acts[-2:] == ["model.promote champion", "routes.set"]
    assert all(event.at <= played.clock.now() for event in found.audit)


@pytest.mark.slow
def test_the_routes_are_those_that_chose_the_arm(played: Station) -> None:
    row, found = traced(played, 3, 0)
    assert row["arm"] == "challenger"
    assert found.routes is not None
    assert found.routes.revision == row["revision"]
    assert {arm.name: arm.share for arm in found.routes.arms} == {"champion": 0.75, "challenger": 0.25}
    first_acts = [event.action for event in traced(played, 1, 0)[1].audit]
    assert first_acts == ["model.register", "model.promote", "routes.set"]


@pytest.mark.slow
def test_the_features_are_those_that_the_model_saw_in_words(played: Station) -> None:
    row, found = traced(played, 1, 5)
    question = next(
        each for each in played.tables.read("events").to_pylist() if each["event_id"] == str(row["id"])
    )
    assert found.features["load"] == question["load"]
    assert found.features["firmware"] == "a"
    assert set(found.features) == {
        "load",
        "firmware",
        "climate__heat",
        "pump_day__runs",
        "pump_day__fail_share",
    }
    assert found.label is not None
    assert found.label["value"] == question["failed"]


def test_the_label_of_the_greatest_revision_holds(station: Station) -> None:
    answer(station, 1)
    row = station.tables.read("labels").slice(0, 1)
    name = row["prediction_id"][0].as_py()
    corrected = row.set_column(1, "value", [pa.array([0.5])]).set_column(4, "revision", [pa.array([2])])
    station.tables.append("labels", corrected)
    station.tables.append("labels", row.set_column(4, "revision", [pa.array([1])]))
    found = trace_prediction(station, name)
    assert found.label is not None
    assert found.label["value"] == 0.5


def test_an_id_that_nobody_asked_is_not_found(station: Station, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotFound, match="prediction 'e99999' does not exist"):
        trace_prediction(station, "e99999")
    assert "ids come back with each answer" in refused(
        "trace", "e99999", "-C", str(station.settings.root), capsys=capsys
    )


def test_the_command_tells_the_trace_to_people_and_to_machines(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(station, 1)
    name = str(asked(station, 1)[0]["id"])
    code, said, _ = esteira("trace", name, "-C", str(station.settings.root), capsys=capsys)
    assert code == 0
    assert "events@0" in said
    code, said, _ = esteira("trace", name, "-C", str(station.settings.root), "--json", capsys=capsys)
    assert json.loads(said)["version"]["version"] == 1
