from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from tests.serving.worlds import deployment, project, tree_model

from esteira.pipelines.artifacts import ArtifactStore
from esteira.serving.routes import RouteStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command


@pytest.fixture
def served_folder(tmp_path: Path) -> Path:
    settings = project(tmp_path / "late")
    routes, artifacts = RouteStore(settings.store("state")), ArtifactStore(settings.store("artifacts"))
    routes.set(deployment(artifacts, tree_model(0.5)))
    return settings.root


@pytest.mark.slow
def test_a_model_is_measured_shown_written_and_drawn(esteira: Command, served_folder: Path) -> None:
    code, out, err = esteira(
        "bench", "serving", "-C", served_folder, "--seconds", 0.5, "--concurrency", "1,2"
    )
    assert (code, err) == (0, "")
    assert "Model late, 1 rows a request, oip" in out
    assert "p99.9 ms" in out
    kept = served_folder / ".esteira" / "bench"
    written = json.loads((kept / "serving-late.json").read_text())
    assert [point["connections"] for point in written["points"]] == [1, 2]
    assert ElementTree.parse(kept / "serving-late.svg").getroot().tag.endswith("svg")


@pytest.mark.slow
def test_machines_get_json_and_the_place_is_theirs_to_choose(
    esteira: Command, served_folder: Path, tmp_path: Path
) -> None:
    words = (
        "--seconds",
        0.3,
        "--concurrency",
        1,
        "--protocol",
        "invocations",
        "-o",
        tmp_path / "out",
        "--json",
    )
    code, out, _ = esteira("bench", "serving", "late", "-C", served_folder, *words)
    said = json.loads(out)
    assert code == 0
    assert (said["model"], said["protocol"], said["failed"]) == ("late", "invocations", 0)
    assert said["points"][0]["latency_ms"]["p50"] > 0
    assert (tmp_path / "out" / "serving-late.svg").is_file()


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        (("--concurrency", "1,x"), "whole number"),
        (("--concurrency", "0"), "from 1 on"),
        (("--seconds", "-1"), "above 0"),
        (("--rate", "nan"), "above 0"),
        (("--rows", "0"), "from 1 on"),
        (("--protocol", "grpc"), "oip"),
        (("nope",), "deployed: late"),
        (("--url", "http://192.0.2.1:80"), "--yes-remote"),
        (("--url", "https://127.0.0.1"), "http://127.0.0.1:8080"),
        (("--url", "http://127.0.0.1:9"), "does not answer"),
        (("--key-file", "no-such-file"), "cannot be read"),
        (("--seconds", "100000"), "lasts up to"),
    ],
)
def test_a_load_that_cannot_be_is_refused_with_the_mend(
    esteira: Command, served_folder: Path, words: tuple[str, ...], mend: str
) -> None:
    code, _, err = esteira("bench", "serving", "-C", served_folder, *words)
    assert code == (1 if mend == "does not answer" else 2)
    assert mend in err
    assert "Traceback" not in err
