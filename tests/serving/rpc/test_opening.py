from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.serving.rpc.callers import inference
from tests.serving.telemetry.test_opentelemetry import Listener
from tests.serving.worlds import deployment, project, tree_model, tree_score

from esteira.base.errors import UnknownName, UnknownScheme
from esteira.monitoring.prediction_log import PREDICTIONS, predictions_table
from esteira.monitoring.segments import folder_of, read_segments
from esteira.pipelines.artifacts import ArtifactStore
from esteira.serving.access.keys import KeyStore, new_key
from esteira.serving.routes import RouteStore
from esteira.serving.rpc.messages import MESSAGES
from esteira.serving.rpc.opening import open_calls
from esteira.serving.rpc.service import Call

if TYPE_CHECKING:
    from pathlib import Path

KEYS = '[project]\nname = "late"\n[gateway]\naccess = "keys"\n[telemetry]\naccess_log = true\n'
ROW = {"miles": np.array([100.0]), "carrier": np.array(["UA"], dtype=object)}


def test_calls_are_answered_from_the_stores_of_the_project_and_logged(tmp_path: Path) -> None:
    settings = project(tmp_path, KEYS)
    model = deployment(ArtifactStore(settings.store("artifacts")), tree_model(-1.0))
    RouteStore(settings.store("state")).set(model)
    key, secret = new_key("shop", ["predict"], created=0)
    KeyStore(settings.store("state")).add(key, secret)
    calls = open_calls(settings, tmp_path / "counted")
    content = inference(ROW, id="f1").SerializeToString()
    called = Call("ModelInfer", {"authorization": f"Bearer {secret.text}"})
    answer = asyncio.run(calls.answer(called, content, None))
    calls.close()
    assert isinstance(answer, bytes)
    response = MESSAGES["ModelInferResponse"].FromString(answer)
    assert response.raw_output_contents == [np.array([tree_score(-1.0)]).tobytes()]
    payloads, _ = read_segments(folder_of(settings.store("predictions")), PREDICTIONS, {})
    assert [each["id"] for each in predictions_table(payloads).to_pylist()] == ["f1"]
    assert list((tmp_path / "counted").glob("*.names"))
    (line,) = [json.loads(each) for path in (settings.home / "access").iterdir() for each in path.open()]
    told = line["route"], line["protocol"], line["status"], line["rows"], line["version"]
    assert told == ("/inference.GRPCInferenceService/ModelInfer", "grpc", 200, 1, "1")


def test_traces_leave_from_here_and_numbers_from_the_gateway(tmp_path: Path) -> None:
    with Listener() as listener:
        told = f'[telemetry]\notlp = "{listener.url}"\ntraces = 1\npush_s = 0.01\n'
        settings = project(tmp_path, f'[project]\nname = "late"\n[gateway]\ngrpc_port = 8091\n{told}')
        calls = open_calls(settings)
        asyncio.run(calls.answer(Call("ServerLive", {}), b"", None))
        calls.close()
        listener.shutdown()
        (span,) = listener.spans()
        assert span.name == "POST /inference.GRPCInferenceService/ServerLive"
        said = {each.key: each.value for each in span.attributes}
        assert (said["esteira.protocol"].string_value, said["server.port"].int_value) == ("grpc", 8091)
        assert listener.metrics() == []


@pytest.mark.parametrize(
    ("toml", "error"),
    [('[stores]\npredictions = "kafka:x"\n', UnknownScheme), ('[gateway]\naccess = "some"\n', UnknownName)],
)
def test_what_cannot_be_opened_is_refused(tmp_path: Path, toml: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        open_calls(project(tmp_path, toml))
