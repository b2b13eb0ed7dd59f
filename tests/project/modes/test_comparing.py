from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.project.modes.test_scratch import made

from esteira.base.errors import BadInput
from esteira.project.modes import streaming
from esteira.project.modes.comparing import ModesWanted, compare_modes

if TYPE_CHECKING:
    from esteira.project.station import Station


@pytest.mark.slow
def test_all_modes_score_the_same_rows_and_agree_to_the_bit(
    laid: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_PACED_S", 0.2)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before, told = made(laid.settings.root), []
    wanted = ModesWanted(laid.settings.root, version=2, rows=500, concurrency=4)
    measured = compare_modes(wanted, lambda what, _share: told.append(what))
    assert (measured.model, measured.version, measured.rows, measured.is_exact) == ("late", 2, 500, True)
    assert (measured.differing, measured.greatest, measured.failed) == (0, 0.0, False)
    names = [mode.name for mode in measured.modes]
    assert names == ["batch", "online, 1 row a request", "online, 100 rows a request", "streaming"]
    assert all(mode.rows == 500 and mode.rows_per_s > 0 for mode in measured.modes)
    assert len(measured.sentences) == 4
    assert told[0] == "making the rows"
    assert len(told) == 5
    assert made(laid.settings.root) == before
    assert [*tmp_path.glob("esteira-bench-*")] == []


@pytest.mark.parametrize(
    ("wanted", "mend"),
    [
        (ModesWanted(Path(), rows=0), "1 to 200000 rows"),
        (ModesWanted(Path(), rows=1_000_000), "1 to 200000 rows"),
        (ModesWanted(Path(), concurrency=0), "1 to 4096 requests"),
        (ModesWanted(Path(), concurrency=5_000), "1 to 4096 requests"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_opened(wanted: ModesWanted, mend: str) -> None:
    with pytest.raises(BadInput, match=mend):
        compare_modes(wanted)
