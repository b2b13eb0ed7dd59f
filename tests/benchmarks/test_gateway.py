"""The parts of the gateway's benchmarks, without a peer and without a second of load."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from benchmarks.gateway import goals
from benchmarks.gateway_models import popularity
from benchmarks.parts import checks
from benchmarks.parts.gateways import gateway, native_model, write_project
from benchmarks.parts.measuring import scrape, throughput
from benchmarks.parts.pausing import awake, pause
from benchmarks.parts.scored import MODELS, bodies, read_rows, read_scores, write_models
from benchmarks.parts.servers import ECHO, Running, scores_in
from benchmarks.peers import versions_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    write_models(made)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_our_gateway_scores_as_the_library_does_also_after_a_pause(model: str, folder: Path) -> None:
    root = folder / model
    write_project(root, {model: native_model(folder, model)})
    one, many = bodies(read_rows(folder)[:1]), bodies(read_rows(folder)[:50])
    with Running(gateway(root), folder, model, one["frame"]) as running:
        pause(running)
        with awake(running):
            status, body = running.ask(many["frame"])
            assert throughput(running, one["frame"], 2) > 0
            assert scrape(running).requests.count > 2
    assert status == 200
    assert scores_in(body) == pytest.approx(read_scores(folder, model)[:50], abs=1e-6)


@pytest.mark.slow
def test_the_limit_gives_back_what_it_is_sent(folder: Path) -> None:
    body = bodies(read_rows(folder)[:1])["frame"]
    with Running(ECHO, folder, "logreg", body) as running:
        assert running.answer == body
        assert running.start_seconds > 0


@pytest.mark.parametrize(
    "answer",
    [
        {"predictions": [0.25, 0.5]},
        {"predictions": [[0.75, 0.25], [0.5, 0.5]]},
        {"predictions": {"label": [0, 1], "probabilities": [[0.75, 0.25], [0.5, 0.5]]}},
        {"outputs": [{"name": "predictions", "shape": [2, 1], "data": [0.25, 0.5]}]},
        {"outputs": [{"name": "predictions", "shape": [2], "data": [0.25, 0.5]}]},
        {"outputs": [{"name": "predictions", "shape": [2, 2], "data": [0.75, 0.25, 0.5, 0.5]}]},
    ],
)
def test_the_scores_of_every_server_are_read(answer: dict[str, object]) -> None:
    assert scores_in(json.dumps(answer).encode()) == [0.25, 0.5]


def test_goals_stand_on_the_best_of_each_kind_of_peer() -> None:
    found = {"esteira": 9_000.0, "echo": 10_000.0, "mlflow": 100.0, "mlflow_frame": 50.0, "ray": 90.0}
    lines = {line.name: line for line in goals("onnx", {**found, "litserve": 1_000.0, "fastapi": 4_000.0})}
    assert lines["onnx_over_mlflow"].value == 90.0
    assert lines["onnx_over_best_server"].value == 9.0
    assert lines["onnx_over_best_server"].is_short
    assert lines["onnx_over_fastapi"].is_short
    assert not lines["onnx_of_echo"].is_short


def test_a_peer_that_is_not_there_has_no_line_and_no_version() -> None:
    assert [line.name for line in goals("lightgbm", {"esteira": 1.0, "echo": 2.0})] == ["lightgbm_of_echo"]
    assert versions_of("no-such-peer") == {"no-such-peer": "absent"}


def test_popularity_falls_as_zipf_says() -> None:
    drawn = popularity(100)
    counts = [drawn.count(place) for place in range(100)]
    assert counts[0] > counts[9] > counts[99]
    assert counts[0] / counts[9] == pytest.approx(10**1.1, rel=0.2)


def test_an_answer_is_of_the_version_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scores.json").write_text(json.dumps({"1": [0.1, 0.2], "2": [0.3, 0.4]}))
    monkeypatch.setenv(checks.SCORES, str(tmp_path / "scores.json"))
    checks._scores.cache_clear()

    def said(version: str, score: float) -> bytes:
        return json.dumps({"model_version": version, "outputs": [{"data": [score]}]}).encode()

    assert checks.whole_version(200, said("1", 0.2), 1) == ""
    assert checks.whole_version(200, said("1", 0.4), 1) == "version 1 scored as another"
    assert checks.whole_version(200, said("3", 0.4), 1) == "version 3 was never deployed"
    assert checks.whole_version(503, b"", 1) == "status 503"
