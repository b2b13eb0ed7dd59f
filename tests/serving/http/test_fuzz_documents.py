"""Schemathesis reads our OpenAPI document and asks a real gateway everything that it can think of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.serving.worlds import deployment, project, tree_model

from esteira.pipelines.artifacts import ArtifactStore
from esteira.serving.http.openapi import gateway_document
from esteira.serving.process import GatewayProcess
from esteira.serving.routes import RouteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

GOOD = {"dataframe_records": [{"miles": 100, "carrier": "UA"}]}
DOCUMENT = json.loads(json.dumps(gateway_document()))
schema = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = project(tmp_path_factory.mktemp("fuzz"))
    artifacts = ArtifactStore(folder.store("artifacts"))
    RouteStore(folder.store("state")).set(deployment(artifacts, tree_model(-1.0)))
    with GatewayProcess(folder.root, port=0) as running:
        yield running


@pytest.mark.filterwarnings("ignore:Skipped test cases")  # it cannot write Parquet
@schema.parametrize()
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_every_answer_is_what_the_document_says(case: Any, gateway: GatewayProcess) -> None:
    for name in ("model", "version"):  # half of the names are of what is there
        if len(case.path_parameters.get(name, "xx")) % 2:
            case.path_parameters[name] = {"model": "late", "version": "1"}[name]
    response = case.call(base_url=gateway.url)
    checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
    if response.status_code not in {
        503,
        405,
    }:  # 503 is said for readiness, and for what no audit trail records
        checks.append(not_a_server_error)
    if response.status_code != 405:
        case.validate_response(response, checks=checks)
    assert "Traceback" not in response.text
    if response.status_code >= 400:
        assert len(response.content) < 4000


def test_the_gateway_answers_as_before(gateway: GatewayProcess) -> None:
    import requests

    answer = requests.post(f"{gateway.url}/invocations", json=GOOD, timeout=10)
    assert answer.status_code == 200
