from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command


def test_a_prediction_is_walked_back_to_its_data(esteira: Command, lived_folder: Path) -> None:
    code, out, err = esteira("trace", "p4", "-C", lived_folder)
    words = " ".join(out.split())
    assert (code, err) == (0, "")
    assert "this one took the challenger" in words
    assert "facts@0" in words
    assert re.search("training set │ [0-9a-f]{12} ", words)
    assert "seed=8" in words
    assert "walk on with: esteira reproduce 2" in words


def test_trace_is_json_for_machines(as_json: Callable[..., tuple[int, Any]], lived_folder: Path) -> None:
    code, found = as_json("trace", "p1", "-C", lived_folder)
    assert code == 0
    assert found["prediction"]["id"] == "p1"
    assert found["features"] == {"x": 0.5}
    assert found["label"]["value"] == 1.0
    assert found["version"]["version"] == 1
    assert found["run"]["inputs"]["facts"] == "facts@0"
    assert {step["step"] for step in found["steps"]} == {"train", "holdout", "model"}


def test_an_id_that_nobody_answered_is_bad_input(
    esteira: Command, lived_folder: Path, empty_folder: Path
) -> None:
    for folder in (lived_folder, empty_folder):
        code, out, err = esteira("trace", "nobody", "-C", folder)
        assert (code, out) == (2, "")
        assert "'nobody' does not exist" in err
