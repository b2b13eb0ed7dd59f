from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.web.gatewayed import PORT, Gatewayed
from tests.web.stations import NOW

from esteira.base.clock import SimulatedClock
from esteira.project.keys import add_key, revoke_key
from esteira.web.gateway_panels import gateway_facts, gateway_sections
from esteira.web.gateways import Gateways, gateways
from esteira.web.model_cards import View
from esteira.web.pulse import Recent, since
from esteira.web.words import Words

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.web.pages import Section

SAY = Words("en")


def view(world: Gatewayed, recent: Recent | None = None) -> View:
    (gateway,) = gateways(world.station.settings).running
    return View(world.station, SAY, gateway, recent or Recent(world.metrics.read()), ())


def panel(world: Gatewayed, title: str, recent: Recent | None = None) -> Section:
    return next(each for each in gateway_sections(view(world, recent)) if each.title == title)


def test_the_facts_of_a_gateway_and_the_way_to_others(tmp_path: Path) -> None:
    world = Gatewayed(tmp_path / "p", "memory_mb = 64\ngrpc_port = 9000\n")
    world.deploy()
    (own,) = gateways(world.station.settings).running
    facts = dict(gateway_facts(view(world), own, Gateways((own,))))
    assert facts["models in memory"] == "1, within 64 MiB"
    assert (facts["workers"], facts["release"], facts["gRPC"]) == ("1", "0.1.0", "127.0.0.1:9000")
    assert "other gateways" not in facts
    facts = dict(gateway_facts(view(world), own, Gateways((own, replace(own, port=9999)))))
    assert "port=9999" in str(facts["other gateways"])
    assert str(PORT) not in str(facts["other gateways"])
    world.end()


def test_every_process_is_told_with_what_it_takes(tmp_path: Path) -> None:
    world = Gatewayed(tmp_path / "p")
    before = world.metrics.read()
    world.metrics.worker_cpu_seconds.set((world.worker,), 5.0)
    world.metrics.worker_memory.set(("w999999",), 2**20)
    world.metrics.gpu_memory.set((world.worker, "cuda:0"), 2**30)
    whole = world.metrics.read()
    workers = panel(world, "Workers", Recent(whole, since(before, whole) or {}, 10.0))
    own, other = sorted(workers.rows, key=lambda row: row[1] == "gRPC")
    assert own == (world.worker[1:], "HTTP", "50%", "64 MiB", "", "1 GiB")
    assert other[:4] == ("999999", "gRPC", "0%", "1 MiB")
    assert workers.columns[-1] == "GPU memory"
    world.end()


def test_a_record_that_was_left_out_alarms(tmp_path: Path) -> None:
    world = Gatewayed(tmp_path / "p")
    assert [row[2] for row in panel(world, "Logs").rows] == ["0", "0"]
    world.metrics.predictions_dropped.set((), 4)
    world.metrics.log_queue.set(("predictions",), 17)
    world.metrics.pushes_failed.add(("datadog",), 2)
    rows = {row[0]: row[1:] for row in panel(world, "Logs").rows}
    assert rows["predictions"][0] == "17"
    assert "tag alarm" in str(rows["predictions"][1])
    assert rows["labels"] == ("", "0")
    assert "2" in str(rows["datadog"][1])
    world.end()


def test_who_may_ask_is_told_without_any_secret(tmp_path: Path) -> None:
    world = Gatewayed(tmp_path / "p", 'access = "keys"\n')
    texts = []
    for name, lifetime in (("old", timedelta(days=1)), ("shop", timedelta(days=90)), ("gone", None)):
        key, secret = add_key(world.station, name, ["predict"], models=["late-*"], lifetime=lifetime)
        texts += [secret.text, key.id]
    revoke_key(world.station, "gone")
    SimulatedClock(world.station.settings.clock_url()).set(NOW + timedelta(days=2))
    found = panel(world, "Who may ask")
    assert found.text.startswith("Only who brings a key that is valid may ask.")
    assert found.rows[0][0] == "shop"
    states = {row[0]: str(row[1]) for row in found.rows}
    assert "valid" in states["shop"]
    assert "tag alarm" in states["old"]
    assert "expired" in states["old"]
    assert "revoked" in states["gone"]
    assert all(row[3] == "late-*" for row in found.rows)
    assert not any(text in str(found) for text in texts)
    world.end()


def test_what_no_model_answered_is_told_by_status(tmp_path: Path) -> None:
    world = Gatewayed(tmp_path / "p")
    world.metrics.requests.add(("", "", "", "oip", "404"), 3)
    world.metrics.refused.add(("", "overload"), 2)
    (row,) = panel(world, "Answers that no model gave").rows
    assert [str(each) for each in row] == ["oip", "404", "0", "3"]
    assert panel(world, "Refused").rows == [("the gateway was overloaded", "0", "2")]
    world.end()


def test_without_a_gateway_only_who_may_ask_is_told(tmp_path: Path) -> None:
    world = Gatewayed(tmp_path / "p")
    (only,) = gateway_sections(View(world.station, SAY, None, Recent(), ()))
    assert only.text.startswith("Anybody who reaches the gateway may ask")
    assert only.columns == ()
    world.end()
