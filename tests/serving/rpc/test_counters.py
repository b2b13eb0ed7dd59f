from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import StorageUnwritable
from esteira.serving.rpc.counters import Counters
from esteira.serving.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from pathlib import Path

GRPC, HTTP = ("late", "1", "champion", "grpc", "OK"), ("late", "1", "champion", "oip", "200")


def requests(folder: Path) -> dict[tuple[str, ...], list[float]]:
    """What a gateway with that folder shows."""
    return Metrics(folder, "reader").read().get("esteira_requests_total", {})


def test_what_is_counted_here_shows_at_every_gateway_also_one_that_comes_later(tmp_path: Path) -> None:
    first = tmp_path / "8080"
    Metrics(first, "w1").requests.add(HTTP)
    counters = Counters(tmp_path, 8090)
    ours = Metrics(counters.folder, "w2")
    counters.follow()
    ours.requests.add(GRPC)
    assert requests(first) == {HTTP: [1.0], GRPC: [1.0]}
    later = tmp_path / "8081"
    later.mkdir()
    counters.follow()
    ours.requests.add(GRPC)
    assert requests(first)[GRPC] == requests(later)[GRPC] == [2.0]


def test_a_gateway_that_comes_again_shows_all_that_was_counted(tmp_path: Path) -> None:
    gateway = tmp_path / "8080"
    gateway.mkdir()
    counters = Counters(tmp_path, 8090)
    ours = Metrics(counters.folder, "w2")
    ours.requests.add(GRPC)
    counters.follow()
    for path in gateway.iterdir():
        path.unlink()
    counters.follow()
    assert requests(gateway) == {GRPC: [1.0]}


@pytest.mark.parametrize("closes", [True, False])
def test_a_process_that_ended_shows_nothing_once_it_closed_or_the_next_one_came(
    tmp_path: Path,
    closes: bool,
) -> None:
    gateway = tmp_path / "8080"
    gateway.mkdir()
    counters = Counters(tmp_path, 8090)
    Metrics(counters.folder, "w2").requests.add(GRPC)
    counters.follow()
    if closes:
        counters.close()
        assert not counters.folder.exists()
    else:
        Counters(tmp_path, 8090).follow()
    assert requests(gateway) == {}


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "gateway").write_text("a file")
    with pytest.raises(StorageUnwritable):
        Counters(tmp_path / "gateway", 8090)
