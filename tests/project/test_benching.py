from __future__ import annotations

from pathlib import Path

import pytest
from tests.serving.worlds import PLAIN, deployment, project, tree_model
from tests.web.stations import copy_of, lived

from esteira.base.errors import BadInput, NotFound
from esteira.pipelines.artifacts import ArtifactStore
from esteira.project.benching import LoadWanted, measure_serving, refuse_stranger
from esteira.serving.process import GatewayProcess
from esteira.serving.routes import RouteStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    settings = project(tmp_path / "late")
    routes, artifacts = RouteStore(settings.store("state")), ArtifactStore(settings.store("artifacts"))
    routes.set(deployment(artifacts, tree_model(0.5, PLAIN)))
    return settings.root


@pytest.mark.slow
def test_a_model_is_loaded_and_its_project_does_not_notice(folder: Path) -> None:
    told: list[str] = []
    wanted = LoadWanted(folder, concurrency=(1, 2), seconds=0.4, rows=2)
    measured = measure_serving(wanted, lambda what, _share: told.append(what))
    said = measured.to_plain()
    assert (said["model"], said["recorded_rows"], said["failed"]) == ("late", 0, 0)
    assert [point["connections"] for point in said["points"]] == [1, 2]
    assert all(point["throughput"] > 0 for point in said["points"])
    assert all(point["overhead_ms"]["p50"] > 0 for point in said["points"])
    assert measured.best in measured.points
    assert told == ["starting the gateway", "1 connections", "2 connections"]
    assert not (folder / ".esteira" / "predictions").exists()


@pytest.mark.slow
def test_a_running_gateway_is_loaded_by_its_url_at_a_rate(folder: Path) -> None:
    with GatewayProcess(folder, port=0) as gateway:
        wanted = LoadWanted(folder, url=gateway.url, seconds=0.5, rate=100.0, concurrency=(4,))
        point = measure_serving(wanted).points[0]
        by_invocations = LoadWanted(folder, url=gateway.url, seconds=0.2, protocol="invocations")
        assert measure_serving(by_invocations).failed == 0
    assert point.rate == 100.0
    assert 25 <= point.report.succeeded <= 80
    assert (point.cpu_cores, point.memory_bytes) == (None, None)


@pytest.mark.slow
def test_rows_of_the_prediction_log_are_asked_again(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = copy_of(lived(tmp_path_factory.getbasetemp()), tmp_path / "copy")
    measured = measure_serving(LoadWanted(folder, seconds=0.2, concurrency=(1,)))
    assert measured.recorded > 0
    assert measured.failed == 0


def test_a_model_that_is_not_deployed_is_said_with_those_that_are(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="deployed: late"):
        measure_serving(LoadWanted(folder, model="early"))
    with pytest.raises(NotFound, match="esteira deploy"):
        measure_serving(LoadWanted(project(tmp_path / "empty").root))


@pytest.mark.parametrize(
    ("wanted", "mend"),
    [
        (LoadWanted(Path(), url="http://192.0.2.1:80"), "--yes-remote"),
        (LoadWanted(Path(), url="http://example.org"), "--yes-remote"),
        (LoadWanted(Path(), url="http://127.0.0.1/v2/models"), "without a path"),
        (LoadWanted(Path(), url="127.0.0.1:80"), "expected a URL"),
        (LoadWanted(Path(), rows=0), "1 to"),
        (LoadWanted(Path(), rows=1_000_000), "1 to"),
    ],
)
def test_load_goes_only_where_it_may(wanted: LoadWanted, mend: str) -> None:
    with pytest.raises(BadInput, match=mend):
        refuse_stranger(wanted)


def test_a_machine_of_ones_own_may_be_loaded_by_consent() -> None:
    refuse_stranger(LoadWanted(Path(), url="http://192.0.2.1:80", is_remote_allowed=True))
    refuse_stranger(LoadWanted(Path(), url="http://[::1]:8080"))
