from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.serving.telemetry.exchanges import wait_for
from tests.serving.worlds import NOON, VIEWED, deployment, open_guard, project, tree_model, tree_score

from esteira.base.errors import EsteiraError
from esteira.features.stores import open_store
from esteira.features.views import FeatureView
from esteira.monitoring.prediction_log import LABELS, PREDICTIONS, labels_table, predictions_table
from esteira.monitoring.push_log import PUSHES, Push, decode_pushes, pushes_folder
from esteira.monitoring.segments import folder_of, read_segments
from esteira.pipelines.artifacts import ArtifactStore
from esteira.serving.deployments import Undeployable
from esteira.serving.gateway import Question
from esteira.serving.http.site import Site
from esteira.serving.pushes import PushTable, PushTables
from esteira.serving.routes import RouteStore
from esteira.serving.worker import SWITCH_S, YOUNG_OBJECTS, open_gateway, open_worker

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.settings import Settings

ROW = {"miles": 100, "carrier": "UA"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = project(tmp_path / "p")
    routes = deployment(ArtifactStore(settings.store("artifacts")), tree_model(-1.0))
    RouteStore(settings.store("state")).set(routes)
    return settings


def test_a_gateway_answers_from_the_stores_of_its_project_and_logs_what_it_said(settings: Settings) -> None:
    gateway = open_gateway(settings)
    site = Site(gateway, open_guard(), max_body_bytes=1000)
    assert gateway.predict(Question("late", [dict(ROW)], id="f1")).scores == [tree_score(-1.0)]
    assert site.handle("POST", "/labels", {}, b'[{"id":"f1","value":1}]').status == 202
    gateway.close()
    folder = folder_of(settings.store("predictions"))
    predictions = predictions_table(read_segments(folder, PREDICTIONS, {})[0]).to_pylist()
    assert [(each["id"], each["score"]) for each in predictions] == [("f1", tree_score(-1.0))]
    labels = labels_table(read_segments(folder, LABELS, {})[0]).to_pylist()
    assert [(each["prediction_id"], each["value"]) for each in labels] == [("f1", 1.0)]


def test_a_version_that_hangs_on_trial_is_refused_in_its_time_and_at_once_when_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = '[project]\nname = "late"\n[gateway]\nload_seconds = 1\n'
    settings, never = project(tmp_path, toml), threading.Event()
    digest = ArtifactStore(settings.store("artifacts")).put(tree_model(-1.0)).digest
    routes = RouteStore(settings.store("state"))
    routes.know("late", 1, digest)
    monkeypatch.setattr("esteira.serving.worker.load_arm", lambda *_, **__: never.wait(20))
    gateway = open_gateway(settings, audit="esteira.governance.ledger:AuditLedger")
    assert gateway.deployments is not None
    said = r"has not ended after 1 s; .*load_seconds.*; what serves stays"
    for most_s in (3.0, 0.5):
        began = time.monotonic()
        with pytest.raises(Undeployable, match=said):
            gateway.deployments.deploy("late", 1, "ana", "")
        assert time.monotonic() - began < most_s
    never.set()
    gateway.close()
    assert routes.names() == []


def test_what_is_pushed_is_on_disk_before_it_is_accepted(settings: Settings) -> None:
    schema = pa.schema({"pump": pa.string()})
    PushTables(settings.store("state")).publish([PushTable("readings", schema)])
    gateway = open_gateway(settings)
    site, body = Site(gateway, open_guard(), max_body_bytes=1000), b'{"rows":[{"pump":"p7"}],"token":"a7"}'
    assert site.handle("POST", "/push/readings", {}, body).status == 202
    folder = pushes_folder(settings.store("predictions"), "readings")
    pushed = decode_pushes(read_segments(folder, PUSHES, {})[0])
    gateway.close()
    assert pushed == [Push("a7", pa.table({"pump": ["p7"]}))]
    assert site.handle("POST", "/push/readings", {}, body).status == 503


def test_features_come_from_the_online_store_that_another_process_fills(settings: Settings) -> None:
    view = FeatureView("weather", ("origin",), ("visib",), "weather")
    artifacts = ArtifactStore(settings.store("artifacts"))
    RouteStore(settings.store("state")).set(deployment(artifacts, tree_model(-1.0, VIEWED)))
    gateway = open_gateway(settings)
    asked = Question("late", [{"miles": 1, "origin": "JFK"}], id="f1")
    gateway.predict(asked)
    with_rows = open_store(settings.store("online"))
    with_rows.write(view, pa.table({"origin": ["JFK"], "event_ts": [NOON], "visib": [7.5]}))
    gateway.predict(Question("late", [{"miles": 1, "origin": "JFK"}], id="f2"))
    gateway.close()
    with_rows.close()
    payloads, _ = read_segments(folder_of(settings.store("predictions")), PREDICTIONS, {})
    first, second = (each["vector"] for each in predictions_table(payloads).to_pylist())
    assert (first[1] != first[1], second) == (True, [1.0, 7.5])


def test_the_dropped_are_counted_where_every_worker_sees_them(settings: Settings, tmp_path: Path) -> None:
    gateway = open_gateway(settings, tmp_path / "shared")
    text = Site(gateway, open_guard(), max_body_bytes=1).handle("GET", "/metrics", {}, b"").body.decode()
    gateway.close()
    assert "esteira_prediction_log_dropped_total 0" in text
    assert (tmp_path / "shared" / f"w{os.getpid()}.names").is_file()


def test_a_worker_is_the_application_of_its_project(settings: Settings, tmp_path: Path) -> None:
    application = open_worker(str(settings.root), str(tmp_path / "shared"), str(os.getppid()))
    assert application.site.gateway.live.models["late"].routes.revision == 1
    assert application.site.max_body_bytes == settings.gateway.max_body_bytes
    application.site.gateway.close()


def test_a_worker_keeps_the_interpreters_own_work_away_from_requests(
    settings: Settings, tmp_path: Path
) -> None:
    application = open_worker(str(settings.root), str(tmp_path / "shared"), str(os.getppid()))
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    assert gc.get_threshold()[0] == YOUNG_OBJECTS
    assert gc.get_freeze_count() > 1000
    application.site.gateway.close()


def test_a_store_that_cannot_be_opened_is_said_and_ends_the_worker(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (settings.home / "state.db").unlink()
    (settings.home / "state.db").mkdir()
    with pytest.raises(SystemExit):
        open_worker(str(settings.root), str(tmp_path / "shared"), str(os.getppid()))
    said = capsys.readouterr().err
    assert "the gateway cannot start" in said
    assert "state.db" in said
    assert "Traceback" not in said


def test_a_telemetry_setting_that_cannot_be_is_said_and_ends_the_worker(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project(settings.root, "[telemetry]\ntraces = 0.5\n")
    with pytest.raises(SystemExit):
        open_worker(str(settings.root), str(tmp_path / "shared"), str(os.getppid()))
    assert "set telemetry.otlp to its URL" in capsys.readouterr().err


def test_what_watches_and_pushes_ends_with_the_worker_and_pushes_once_more(
    settings: Settings, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{agent.getsockname()[1]}"
        toml = f'[telemetry]\naccess_log = true\ndogstatsd = "{address}"\npush_s = 3600.0\n'
        project(settings.root, f'[project]\nname = "late"\n{toml}')
        application = open_worker(str(settings.root), str(tmp_path / "shared"), str(os.getppid()))
        application.site.gateway.metrics.swaps.add(("late",), 7)
        loop = asyncio.new_event_loop()
        application.__rsgi_del__(loop)
        loop.close()
        agent.settimeout(5)
        assert b"esteira.model_swaps:7|c|#model:late" in agent.recv(65_536)
    assert (settings.home / "access" / "access-0.jsonl").is_file()
    assert {"exporter", "access-log"} & {each.name for each in threading.enumerate()} == set()


def test_a_worker_says_what_its_process_takes(settings: Settings, tmp_path: Path) -> None:
    gateway = open_gateway(settings, tmp_path / "shared")
    wait_for(lambda: "esteira_worker_memory_bytes" in gateway.metrics.read())
    gateway.close()


def test_an_unknown_scheme_is_refused_before_anything_serves(tmp_path: Path) -> None:
    settings = project(tmp_path, '[stores]\npredictions = "kafka:x"\n')
    with pytest.raises(EsteiraError, match="kafka"):
        open_gateway(settings)


@pytest.fixture(autouse=True)
def _process_as_it_was() -> object:
    logger = logging.getLogger("esteira")
    before = logger.handlers, logger.level, logger.propagate
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    logger.handlers, logger.level, logger.propagate = before
