from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import NotFound
from esteira.cli.page import page

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_without_settings_has_no_page(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"esteira\.toml"):
        page(tmp_path)


@pytest.mark.slow
def test_the_site_runs_in_a_process_of_its_own_and_ends_when_asked(empty_folder: Path) -> None:
    with page(empty_folder, port=0) as site:
        with urllib.request.urlopen(f"{site.url}/healthz", timeout=10) as answer:
            assert json.load(answer) == {"project": "tiny"}
        assert site.log == empty_folder / ".esteira" / "web.log"
    assert site.stop() == 0
