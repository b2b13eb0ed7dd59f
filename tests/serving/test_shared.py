"""The folder of a gateway comes and goes whole, whoever links files into it meanwhile."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import StorageUnwritable
from esteira.serving.rpc.counters import Counters
from esteira.serving.shared import make_anew, take_away
from esteira.serving.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def linked(tmp_path: Path) -> Iterator[Path]:
    """The folder of a gateway into which a gRPC process links its counters without a pause."""
    counters, ends = Counters(tmp_path, 8090), threading.Event()
    Metrics(counters.folder, "w2").requests.add(("late", "1", "champion", "grpc", "OK"))

    def follow() -> None:
        while not ends.is_set():
            counters.follow()

    thread = threading.Thread(target=follow)
    thread.start()
    yield tmp_path / "8080"
    ends.set()
    thread.join()


def test_a_folder_is_made_and_gone_while_counters_are_linked_into_it(linked: Path) -> None:
    for _ in range(300):
        make_anew(linked)
        (linked / "w1.values").touch()
    make_anew(linked)
    assert not (linked / "w1.values").exists()
    take_away(linked)
    threading.Event().wait(0.05)
    assert [path.name for path in linked.parent.iterdir()] == ["rpc_8090"]


def test_what_a_kill_left_goes_with_the_next_folder(tmp_path: Path) -> None:
    (tmp_path / ".gone-1a2b" / "8080").mkdir(parents=True)
    make_anew(tmp_path / "8080")
    assert [path.name for path in tmp_path.iterdir()] == ["8080"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "gateway").write_text("a file")
    with pytest.raises(StorageUnwritable):
        make_anew(tmp_path / "gateway" / "8080")
