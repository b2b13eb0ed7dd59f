from __future__ import annotations

import json
from argparse import Namespace
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from tests.project.scored import lay_late

from esteira.cli.bench_modes import tell
from esteira.project.modes import streaming
from esteira.project.modes.measured import ModeMeasured, ModesMeasured
from esteira.registry.bundle import Model
from esteira.registry.signature import Signature
from esteira.registry.tensors import TensorSignature, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return lay_late(tmp_path / "late").settings.root


@pytest.mark.slow
def test_the_modes_are_shown_judged_written_and_drawn(
    esteira: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_PACED_S", 0.2)
    code, out, err = esteira("bench", "modes", "-C", folder, "--rows", 500, "--concurrency", 4)
    assert (code, err) == (0, "")
    assert "late, version 1: 500 rows in every mode" in out
    assert "all modes give the same scores to the bit, on each of 500 rows" in out
    assert "- One row a request is answered in" in out
    kept = folder / ".esteira" / "bench"
    written = json.loads((kept / "modes-late.json").read_text())
    assert [mode["differing"] for mode in written["modes"]] == [0] * 4
    assert ElementTree.parse(kept / "modes-late.svg").getroot().tag.endswith("svg")


@pytest.mark.slow
def test_machines_get_json_of_the_version_and_the_place_they_name(
    esteira: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_PACED_S", 0.2)
    place = tmp_path / "out"
    words = ("--version", 2, "--rows", 120, "--out", place, "--json")
    code, out, _ = esteira("bench", "modes", "-C", folder, *words)
    said = json.loads(out)
    assert code == 0
    assert (said["version"], said["rows"], said["failed"]) == (2, 120, False)
    assert said == json.loads((place / "modes-late.json").read_text())
    assert (place / "modes-late.svg").is_file()


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        (("--rows", "0"), "from 1 on"),
        (("--rows", "many"), "from 1 on"),
        (("--rows", "300000"), "1 to 200000"),
        (("--concurrency", "0"), "from 1 on"),
        (("--concurrency", "9999"), "1 to 4096"),
        (("--version", "9"), "version '9 of model late' does not exist"),
        (("late",), "unrecognized arguments"),
    ],
)
def test_a_comparison_that_cannot_be_is_refused_with_the_mend(
    esteira: Command, folder: Path, words: tuple[str, ...], mend: str
) -> None:
    code, _, err = esteira("bench", "modes", "-C", folder, *words)
    assert code == 2
    assert mend in err
    assert "Traceback" not in err
    assert not (folder / ".esteira" / "bench").exists()


def test_a_model_of_tensors_is_refused_with_the_mend(esteira: Command, tmp_path: Path) -> None:
    spec = TensorSpec("x", "FP32", (-1, 2))
    model = Model("onnx", Signature((), "y"), {}, tensors=TensorSignature((spec,), (spec,)))
    code, _, err = esteira("bench", "modes", "-C", lay_late(tmp_path / "late", model).settings.root)
    assert code == 2
    assert "esteira bench serving" in err


def test_a_project_without_champion_is_refused_with_the_mend(esteira: Command, empty_folder: Path) -> None:
    code, _, err = esteira("bench", "modes", "-C", empty_folder)
    assert code == 2
    assert "esteira deploy N" in err


@pytest.mark.parametrize(
    ("is_exact", "code", "said"), [(True, 1, "must not be"), (False, 0, "may answer otherwise")]
)
def test_a_difference_is_said_and_fails_where_it_must_not_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], is_exact: bool, code: int, said: str
) -> None:
    facts = {"paced_rows_per_s": 10.0}
    mode = ModeMeasured("streaming", 9, 1.0, 1.0, {0.5: 0.1, 0.99: 0.1}, None, None, facts, differing=3)
    measured = ModesMeasured("late", 1, 9, 0, is_exact, (mode,), 3, 1e-16)
    arguments = Namespace(folder=str(tmp_path), output=None, json=False)
    assert tell(measured, arguments, "modes-late") == code
    out = capsys.readouterr().out
    assert "the modes differ on 3 rows, by 1e-16 at most" in out
    assert said in out


def test_rows_without_a_score_are_said_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = {"paced_rows_per_s": 10.0, "refused": [{"reason": "unknown column"}]}
    mode = ModeMeasured("streaming", 9, 1.0, 1.0, {0.5: 0.1, 0.99: 0.1}, None, None, facts, missing=2)
    measured = ModesMeasured("late", 1, 9, 0, is_exact=False, modes=(mode,), differing=0, greatest=0.0)
    assert tell(measured, Namespace(folder=str(tmp_path), output=None, json=False), "modes-late") == 1
    out = capsys.readouterr().out
    assert "rows without a score, and why: streaming: 2, [{'reason': 'unknown column'}]" in out
    assert "the same scores" not in out
