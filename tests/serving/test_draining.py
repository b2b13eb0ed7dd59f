from __future__ import annotations

import os
from typing import TYPE_CHECKING

from esteira.serving.draining import Draining, is_draining

if TYPE_CHECKING:
    from pathlib import Path


def test_a_gateway_without_a_folder_never_drains_unless_told() -> None:
    draining = Draining()
    assert not draining.is_draining()
    draining.begin()
    assert draining.is_draining()


def test_all_who_share_the_folder_see_it_at_once(tmp_path: Path) -> None:
    first, worker = Draining(tmp_path / "8080"), Draining(tmp_path / "8080")
    assert not worker.is_draining()
    first.begin()
    assert worker.is_draining()
    assert Draining(tmp_path / "8080").is_draining()  # of a worker that was started meanwhile


def test_another_process_sees_it(tmp_path: Path) -> None:
    draining = Draining(tmp_path)
    child = os.fork()
    if child == 0:
        Draining(tmp_path).begin()
        os._exit(0)
    os.waitpid(child, 0)
    assert draining.is_draining()


def test_whoever_stands_outside_sees_it_and_makes_nothing(tmp_path: Path) -> None:
    assert not is_draining(tmp_path / "8080")
    assert not (tmp_path / "8080").exists()
    draining = Draining(tmp_path / "8080")
    assert not is_draining(tmp_path / "8080")
    draining.begin()
    assert is_draining(tmp_path / "8080")
