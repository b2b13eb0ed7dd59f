from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.web.gatewayed import PORT, Gatewayed

from esteira.serving.telemetry.metrics import Metrics
from esteira.web.gateways import Gateways, RunningGateway, gateways

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECOND = timedelta(seconds=1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Gatewayed]:
    world = Gatewayed(tmp_path / "p")
    yield world
    world.end()


def test_a_gateway_with_a_worker_that_lives_runs(world: Gatewayed) -> None:
    (found,) = gateways(world.station.settings).running
    assert (found.port, found.url) == (PORT, f"http://127.0.0.1:{PORT}")
    assert found.workers == {os.getpid()}
    assert not found.is_draining
    assert datetime.now(UTC) - 60 * SECOND < found.since <= datetime.now(UTC) + SECOND


def test_a_gateway_that_was_killed_does_not_run_though_its_folder_is_there(world: Gatewayed) -> None:
    world.end()
    assert gateways(world.station.settings) == Gateways((), (PORT,))


def test_a_grpc_process_that_outlives_its_gateway_is_no_worker_of_it(world: Gatewayed) -> None:
    world.end()
    counters = Metrics(world.folder, "rpc_9000")
    assert gateways(world.station.settings).running == ()
    counters.close()


def test_a_gateway_that_ends_is_draining(world: Gatewayed) -> None:
    world.draining.begin()
    (found,) = gateways(world.station.settings).running
    assert found.is_draining


def test_when_it_began_stays_while_its_files_are_written(world: Gatewayed) -> None:
    (before,) = gateways(world.station.settings).running
    os.utime(world.folder / "agreement.db", (2e9, 2e9))
    (world.folder / "rpc_9000.names").touch()
    os.utime(world.folder / "rpc_9000.names", (1e9, 1e9))  # of an older process
    (after,) = gateways(world.station.settings).running
    assert after.since == before.since


def test_a_file_that_goes_while_the_folder_is_read_hides_no_gateway(world: Gatewayed) -> None:
    (before,) = gateways(world.station.settings).running
    (world.folder / "agreement.db-journal").symlink_to("gone")  # listed, but not there to be asked
    (after,) = gateways(world.station.settings).running
    assert after.since == before.since


def test_other_folders_and_no_folder_are_no_gateways(world: Gatewayed, tmp_path: Path) -> None:
    (world.folder.parent / "rpc_9000").mkdir()
    assert len(gateways(world.station.settings).running) == 1
    assert gateways(Gatewayed(tmp_path / "q").station.settings).silent == ()


def test_with_tls_the_address_says_so(tmp_path: Path) -> None:
    world = Gatewayed(tmp_path / "p", 'tls_cert = "cert.pem"\ntls_key = "key.pem"\nhost = "0.0.0.0"\n')
    (found,) = gateways(world.station.settings).running
    assert found.url == f"https://127.0.0.1:{PORT}"
    world.end()


def test_the_first_wanted_port_that_runs_is_chosen_else_any(tmp_path: Path) -> None:
    began = datetime.now(UTC)
    one, other = (
        RunningGateway(port, "", tmp_path, began, frozenset({1}), is_draining=False) for port in (1, 2)
    )
    assert Gateways((one, other)).chosen(2, 1) is other
    assert Gateways((one, other)).chosen(None, 2) is other
    assert Gateways((one, other)).chosen(7, 8) is one
    assert Gateways().chosen(1, 2) is None
