from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.mirroring.lines import chosen, routes

from esteira.serving.live.table import LiveModel
from esteira.serving.mirroring.plans import Plan, plans_of
from esteira.serving.routes import Arm, Routes, choose
from esteira.serving.splitting import OUTSIDE, PINNED, SEGMENT_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = [f"k{n}" for n in range(4_000)]


def versions(
    plan: Plan, key: str, headers: Mapping[str, str] | None = None, arm: str = "champion"
) -> list[int]:
    group = plan.of(chosen("r", key, arm), headers or {})
    return [] if group is None else [each.version for each in group.targets]


def test_a_share_of_all_asks_every_key() -> None:
    plan = Plan(routes(1.0, 1.0))
    assert {tuple(versions(plan, key)) for key in KEYS} == {(2, 3)}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_share_is_that_part_of_the_keys_and_the_same_keys_each_time(share: float) -> None:
    first = [key for key in KEYS if versions(Plan(routes(share)), key)]
    assert len(first) / len(KEYS) == pytest.approx(share, abs=0.03)
    assert [key for key in KEYS if versions(Plan(routes(share)), key)] == first


@given(low=st.floats(0.01, 1.0), more=st.floats(0.0, 1.0), key=st.text(max_size=12))
def test_a_share_that_grows_keeps_the_keys_that_it_had(low: float, more: float, key: str) -> None:
    high = min(low + more, 1.0)
    assert not versions(Plan(routes(low)), key) or versions(Plan(routes(high)), key)


def test_shadows_of_two_shares_share_the_keys_of_the_smaller_one() -> None:
    plan = Plan(routes(0.1, 0.5))
    found = {tuple(versions(plan, key)) for key in KEYS}
    assert found == {(), (3,), (2, 3)}


def test_the_keys_of_a_shadow_are_not_those_of_an_arm_with_its_share() -> None:
    split = Routes("late", (Arm("champion", 1, "a", 0.5), Arm("challenger", 2, "b", 0.5)), "s")
    plan = Plan(routes(0.5))
    both = [bool(versions(plan, key)) == (choose(split, key).version == 2) for key in KEYS]
    assert sum(both) / len(both) == pytest.approx(0.5, abs=0.05)


def test_a_request_that_named_its_version_or_arm_is_not_mirrored() -> None:
    assert versions(Plan(routes(1.0)), "k", arm=PINNED) == []
    assert versions(Plan(routes(1.0)), "k", arm="challenger") == [2]


def test_only_requests_of_the_segments_are_mirrored() -> None:
    plan = Plan(routes(1.0, segments=("beta", "staff")))
    assert versions(plan, "k", {SEGMENT_HEADER: "staff"}) == [2]
    assert versions(plan, "k", {SEGMENT_HEADER: "all"}) == []
    assert versions(plan, "k", arm=OUTSIDE) == []
    assert versions(Plan(routes(1.0)), "k", {SEGMENT_HEADER: "all"}) == [2]


def test_models_without_shadows_have_no_plan() -> None:
    plain, shadowed = replace(routes(), model="plain"), routes(0.5)
    models = {each.model: LiveModel(each, {}) for each in (plain, shadowed)}
    assert list(plans_of(models)) == ["late"]
    assert [each.name for each in plans_of(models)["late"].targets] == ["next"]
