from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import copy_of
from tests.web.stations import lay_down

from esteira.project.station import open_station

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command


@pytest.fixture
def copied(lived_folder: Path, tmp_path: Path) -> Path:
    return copy_of(lived_folder, tmp_path / "copy").settings.root


def test_a_conversion_prints_how_far_the_scores_lie_apart_and_deploys_nothing(
    esteira: Command, copied: Path
) -> None:
    station = open_station(copied)
    rows = station.tables.read("predictions")
    station.tables.append("predictions", rows)  # twice the sixty that it was asked
    before = station.routes.get("tiny")
    code, out, err = esteira("convert", 1, "--to", "lleaves", "-C", copied)
    assert (code, err) == (0, "")
    assert "Version 3 of tiny, from version 1" in out
    assert "120, in a batch and alone" in out
    assert "lightgbm → lleaves" in out
    assert "esteira deploy 3 --canary" in out
    assert open_station(copied).routes.get("tiny") == before


def test_what_is_not_judged_or_not_known_is_bad_input(esteira: Command, copied: Path, tmp_path: Path) -> None:
    code, out, err = esteira("convert", 1, "--to", "lleaves", "-C", copied)
    assert (code, out) == (2, "")
    assert "at least 100 recorded rows, found 60" in err
    assert esteira("convert", 1, "--to", "cobol", "-C", copied)[0] == 2
    assert esteira("convert", 1, "--to", "onnx", "--tolerance", 2, "-C", copied)[0] == 2
    assert esteira("convert", 99, "--to", "onnx", "-C", copied)[0] == 2
    empty = lay_down(tmp_path / "empty")
    assert "does not exist" in esteira("convert", 1, "--to", "onnx", "-C", empty)[2]
