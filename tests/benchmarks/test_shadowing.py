"""The part that measures what a shadow costs, on a gateway that is asked for a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from benchmarks.parts import shadowing as part
from benchmarks.parts.gateways import SIGNATURE, gateway, write_project
from benchmarks.parts.scored import FEATURES, bodies
from benchmarks.parts.servers import Running
from benchmarks.parts.shadowing import ShadowCost, Shadowing, shadow_cost
from tests.serving.worlds import tree_text

from esteira.base.settings import load_settings
from esteira.registry.bundle import Model

if TYPE_CHECKING:
    from pathlib import Path


def test_a_turn_is_compared_with_those_around_it() -> None:
    cost = ShadowCost(100.0, alone=[0.010, 0.030, 0.010], shadowed=[0.022, 0.020])
    assert cost.ratios == pytest.approx([1.1, 1.0])
    assert cost.ratio == pytest.approx(1.05)


def test_the_counts_are_exact_when_each_request_has_one_outcome() -> None:
    cost = ShadowCost(100.0, counts={"mirrored": 10, "answered": 8, "dropped": 1, "lost": 1})
    assert (cost.is_exact, cost.share_asked) == (True, 0.8)
    cost.counts["lost"] = 0
    assert not cost.is_exact


@pytest.mark.slow
def test_turns_with_and_without_a_shadow_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "WARMUP_S", 0.1)
    model = Model("lightgbm", SIGNATURE, {"model.txt": tree_text(-1.0, FEATURES)})
    root, sent = tmp_path / "project", bodies([[0.5] * FEATURES])
    write_project(root, {"plain": model, "late": model})
    state_url = load_settings(root, {}).store("state")
    with Running(gateway(root), tmp_path, "plain", sent["inputs"]) as running:
        shadowing = Shadowing(running, state_url, "plain", "late")
        cost = shadow_cost(shadowing, [sent["oip"]], 100.0, turns=2, seconds=0.5)
    assert (len(cost.alone), len(cost.shadowed), cost.failed) == (3, 2, 0)
    assert cost.counts["mirrored"] > 0  # however busy the machine is
    assert cost.is_exact
    assert cost.share_asked == 1.0
    assert cost.ratio > 0
