from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.serving.worlds import tree_model
from tests.web.gatewayed import Gatewayed
from tests.web.stations import HOSTILE

from esteira.web.gateways import gateways
from esteira.web.model_cards import ModelCard, View, a_second, answers_of, model_card, model_href, refusals_of
from esteira.web.pulse import Recent, since
from esteira.web.served import Standings, served_models
from esteira.web.words import Words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esteira.serving.telemetry.readings import Numbers

SAY = Words("en")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Gatewayed]:
    world = Gatewayed(tmp_path / "p")
    yield world
    world.end()


def card(world: Gatewayed, before: Numbers | None = None, seconds: float = 10.0) -> ModelCard:
    whole = world.metrics.read()
    fresh = (since(before, whole) or {}) if before is not None else {}
    recent = Recent(whole, fresh, seconds if before is not None else 0.0)
    models = served_models(world.station.routes, Standings(whole, (), is_on_demand=False))
    (gateway,) = gateways(world.station.settings).running
    return model_card(View(world.station, SAY, gateway, recent, models), models[0])


def tile(found: ModelCard, name: str) -> str:
    return next(each.value for each in found.tiles if each.name == name)


def test_tiles_are_of_the_last_minute(world: Gatewayed) -> None:
    world.deploy()
    world.answer(*[0.9] * 50)
    before = world.metrics.read()
    world.answer(*[0.003] * 200)
    world.metrics.refused.add(("tiny", "full"), 30)
    world.metrics.queue_depth.set(("tiny",), 7)
    found = card(world, before)
    assert tile(found, "requests a second") == "20"
    assert tile(found, "refused a second") == "3"
    assert [each.alarms for each in found.tiles if each.name == "refused a second"] == [True]
    assert tile(found, "rows that wait") == "7"
    assert tile(found, "p99").endswith(" ms")
    assert found.spread == "Latency, last minute"


def test_without_answers_in_the_last_minute_latencies_are_of_all_time(world: Gatewayed) -> None:
    world.deploy()
    world.answer(*[0.003] * 20)
    found = card(world, world.metrics.read())
    assert (tile(found, "p50"), tile(found, "requests a second")) == ("–", "0")
    assert found.spread == "Latency, since the start"
    assert found.latencies.count("<svg") == 2


def test_the_time_of_a_request_is_split_between_model_and_server(world: Gatewayed) -> None:
    world.deploy()
    world.answer(*[0.004] * 20)
    facts = dict(card(world).facts)
    assert facts["mean of a request"] == "4 ms"
    assert facts["of it in the model"] == "1 ms"
    assert facts["of it the server's own"] == "3 ms"


def test_rows_that_went_together_are_told_where_they_were_counted(world: Gatewayed) -> None:
    world.deploy()
    assert "rows of one call, mean" not in dict(card(world).facts)
    for rows in (1, 3, 8):
        world.metrics.batch_rows.observe(("tiny",), rows)
    assert dict(card(world).facts)["rows of one call, mean"].startswith("4 · p95 ")


def test_each_version_has_its_share_state_rate_cpu_and_memory(world: Gatewayed) -> None:
    world.deploy(tree_model(-1.0), tree_model(-2.0), shares=(0.75, 0.25))
    before = world.metrics.read()
    world.answer(*[0.008] * 100)
    world.answer(*[0.001] * 10, version="2")
    world.metrics.model_memory.set(("tiny", "1"), 3 * 2**20)
    found = card(world, before)
    versions = found.sections[0]
    assert versions.columns[:5] == ("version", "arm", "share", "state", "a second")
    first, second = versions.rows
    assert (first[0], first[1], first[2], first[4]) == ("v1", "champion", "75%", "10")
    assert (first[7], first[8]) == ("2.0%", "3 MiB")
    assert (second[4], second[8]) == ("1", "–")
    assert "ready" in str(first[3])
    assert "v2 25%" in found.split


def test_answers_and_refusals_are_told_by_status_and_reason(world: Gatewayed) -> None:
    world.answer(*[0.001] * 3)
    world.answer(0.001, code="500")
    world.metrics.refused.add(("tiny", "late"), 2)
    before = world.metrics.read()
    world.answer(0.001)
    whole = world.metrics.read()
    recent = Recent(whole, since(before, whole) or {}, 10.0)
    ok, failed = answers_of(recent, "tiny", SAY).rows
    assert [str(each) for each in ok] == ["oip", "200", "1", "4"]
    assert "tag alarm" in str(failed[1])
    assert refusals_of(recent, "tiny", SAY).rows == [("it would have waited beyond its deadline", "0", "2")]
    assert answers_of(recent, "nobody", SAY).rows == []


def test_what_changed_says_who_and_why(world: Gatewayed) -> None:
    facts = {"shares": {"champion:1": 1.0}}
    world.station.audit.record("routes.set", "model/tiny", reason=HOSTILE, facts=facts)
    world.deploy()
    (changed,) = card(world).sections[-1].rows
    assert changed[1:] == (1, "champion v1 100%", "esteira", HOSTILE)


def test_a_model_is_asked_as_its_bundle_says_and_not_at_all_without_it(world: Gatewayed) -> None:
    world.deploy()
    found = card(world)
    assert found.asking is not None
    assert "/v2/models/tiny/infer" in found.asking.infer
    assert found.is_default
    for each in world.station.artifacts.root.rglob("model.json"):
        each.unlink()
    assert card(world).asking is None


def test_a_rate_needs_two_looks_and_an_address_no_luck() -> None:
    assert a_second(5, Recent()) is None
    assert a_second(5, Recent(seconds=2.0)) == 2.5
    assert model_href("a/b?<c>", SAY) == "/serving/a%2Fb%3F%3Cc%3E?lang=en"
