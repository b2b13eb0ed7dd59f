"""MLflow's own scoring client, unmodified, against a real gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc.scoring_server import client as clients
from tests.serving.worlds import deployment, project, tree_model, tree_score

from esteira.pipelines.artifacts import ArtifactStore
from esteira.registry.signature import Column, Signature
from esteira.serving.process import GatewayProcess
from esteira.serving.routes import RouteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

pytestmark = pytest.mark.slow

LOW, HIGH = tree_score(-1.0), tree_score(3.0)
NUMBERS = Signature((Column("miles"), Column("gust")), "late")


@pytest.fixture(scope="module", params=["columns", "numbers"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    settings = project(tmp_path_factory.mktemp(request.param))
    model = tree_model(-1.0) if request.param == "columns" else tree_model(-1.0, NUMBERS)
    artifacts = ArtifactStore(settings.store("artifacts"))
    RouteStore(settings.store("state")).set(deployment(artifacts, model))
    with GatewayProcess(settings.root, port=0) as gateway:
        yield request.param, gateway.url


def client_of(url: str) -> ScoringServerClient:
    address = urlsplit(url)
    client: ScoringServerClient = clients.ScoringServerClient(address.hostname, address.port)
    client.wait_server_ready(timeout=10)
    return client


def test_it_waits_pings_and_asks_for_the_version(served: tuple[str, str]) -> None:
    client = client_of(served[1])
    client.ping()
    assert client.get_version().count(".") >= 1


def test_it_scores_a_frame_with_an_index_and_strange_columns(served: tuple[str, str]) -> None:
    kind, url = served
    frame = pd.DataFrame({"flight": ["a", "b"], "carrier": ["UA", "AA"], "miles": [100, 600]}, index=[7, 9])
    if kind == "numbers":
        frame["gust"] = [1.5, 2.5]
    answer = client_of(url).invoke(frame, params={"ignored": 1})
    assert answer.get_predictions(predictions_format="ndarray").tolist() == [LOW, HIGH]
    assert answer.get_predictions()[0].tolist() == [LOW, HIGH]


def test_it_scores_an_array_where_all_columns_are_numbers(served: tuple[str, str]) -> None:
    kind, url = served
    array = np.array([[100, 1.5], [600, 2.5]])
    if kind == "numbers":
        assert client_of(url).invoke(array)["predictions"] == [LOW, HIGH]
    else:
        with pytest.raises(Exception, match=r"error code 400.*rows without names"):
            client_of(url).invoke(array)


def test_it_scores_a_list_of_records(served: tuple[str, str]) -> None:
    records = [{"miles": 100, "carrier": "UA", "gust": 1.0}]
    assert client_of(served[1]).invoke(records)["predictions"] == [LOW]
