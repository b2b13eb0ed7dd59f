from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.web.stations import PROJECT, copy_of, lay_down

from esteira.base.errors import BadInput
from esteira.cli.run import _parameters

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command


@pytest.fixture
def copied(lived_folder: Path, tmp_path: Path) -> Path:
    return copy_of(lived_folder, tmp_path / "copy")


def test_a_run_of_what_is_known_is_cached_and_json(
    as_json: Callable[..., tuple[int, Any]], copied: Path
) -> None:
    code, found = as_json("run", "--set", "seed=8", "-C", copied)
    assert (code, found["passed"]) == (0, True)
    assert found["run"]["status"] == "done"
    assert found["candidate"]["version"]["version"] == 2  # the same bytes are the same version
    assert found["ingested"] == {}


def test_a_run_tells_its_steps_metrics_and_gates(esteira: Command, copied: Path) -> None:
    code, out, err = esteira("run", "--set", "seed=9", "-C", copied)
    words = " ".join(out.split())
    assert (code, err) == (0, "")
    assert "parameter seed changed" in words
    assert "cached" in words
    assert "roc_auc" in words
    assert "Gates" in words
    code, out, _ = esteira("run", "--why", "model", "-C", copied)
    assert (code, out) == (0, "model: ran: parameter seed changed\n")


def test_a_gate_that_refuses_ends_with_1_and_deploys_nothing(
    as_json: Callable[..., tuple[int, Any]], tmp_path: Path
) -> None:
    folder = lay_down(tmp_path, project=PROJECT.replace("at_least=0.6", "at_least=0.9999"))
    code, found = as_json("run", "--deploy", "-C", folder)
    assert (code, found["passed"]) == (1, False)
    assert found["ingested"]["facts"]["accepted"] == 400
    assert as_json("status", "-C", folder)[1]["routes"] is None


def test_a_step_that_raises_is_one_line_with_its_place(esteira: Command, tmp_path: Path) -> None:
    broken = PROJECT.replace("    signature = infer", "    seed / 0\n    signature = infer")
    code, _, err = esteira("run", "-C", lay_down(tmp_path, project=broken))
    assert code == 1
    assert "model" in err
    assert "division by zero" in err
    assert "tiny.py" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "seed"), "--set takes NAME=VALUE, found 'seed'"),
        (("--set", "sede=3"), "sede"),
        (("--why", "modle"), "did you mean 'model'?"),
        (("--why", "model"), "make one with: esteira run"),
    ],
)
def test_words_that_cannot_be_used_are_bad_input(
    esteira: Command, empty_folder: Path, words: tuple[str, ...], said: str
) -> None:
    code, _, err = esteira("run", *words, "-C", empty_folder)
    assert code == 2
    assert said in err
    assert "Traceback" not in err


def test_parameters_are_json_or_text() -> None:
    given = _parameters(["days=60", "rate=0.5", "months=[1, 2]", "name=late", "url=a=b", "flag=true"])
    assert given == {
        "days": 60, "rate": 0.5, "months": [1, 2], "name": "late", "url": "a=b", "flag": True,
    }  # fmt: skip
    with pytest.raises(BadInput, match="NAME=VALUE"):
        _parameters(["=3"])
