from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.combining.models import line, summing
from tests.serving.worlds import VIEWED, tree_model

from esteira.base.digest import digest_folder
from esteira.base.errors import BadInput, CorruptArtifact
from esteira.pipelines.artifacts import ArtifactStore
from esteira.registry.bundle import Model
from esteira.registry.columns import Column
from esteira.registry.encodings import Encodings, Kept, Marked, Scaled
from esteira.serving.combining.combination import Combination
from esteira.serving.combining.files import (
    PLAN,
    bundle_digest,
    combined,
    read_combination,
    without_deadlines,
)
from esteira.serving.combining.nodes import Average, Fallback, Stacked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OVER = ("a", "b")
ENCODED = replace(
    tree_model(-1.0), encodings=Encodings((Scaled("standard", 5.0, 2.0, impute=True), Marked((0,)), Kept()))
)
PLANS = {
    "plain": Combination({"a": line(0.25), "b": tree_model(1.0)}, (Average("n", OVER),), {}, {"b": 20.0}),
    "stack": Combination(
        {"a": replace(line(0.25), facts={"rows": 3}), "b": ENCODED},
        (Stacked("n", OVER), Fallback("m", ("n", "a"))),
        {"n": summing([Column(name) for name in OVER], 1.0, 2.0)},
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_combination_comes_back_from_a_store_as_it_was(name: str, tmp_path: Path) -> None:
    model = combined(PLANS[name])
    store = ArtifactStore(f"file:{tmp_path}")
    found = store.get(store.put(model))
    assert found == model
    assert isinstance(found, Model)
    assert read_combination(found) == PLANS[name]


def test_equal_combinations_give_equal_bytes_and_name_their_members_by_their_bundles(tmp_path: Path) -> None:
    model = combined(PLANS["stack"])
    assert bundle_digest(combined(PLANS["stack"])) == bundle_digest(model)
    PLANS["stack"].members["b"].save(tmp_path)
    assert model.facts["members"]["b"] == digest_folder(tmp_path)
    assert model.facts["combination"] == "n=stacked(a,b) m=fallback(n,a)"


def test_without_deadlines_all_else_stays_at_every_depth() -> None:
    inner = combined(PLANS["plain"])
    outer = Combination({"in": inner, "c": line(1.0)}, (Average("n", ("in", "c")),), {}, {"in": 5.0})
    patient = read_combination(without_deadlines(combined(outer)))
    assert (patient.nodes, patient.deadlines_ms, patient.members["c"]) == (outer.nodes, {}, line(1.0))
    assert read_combination(patient.members["in"]) == replace(PLANS["plain"], deadlines_ms={})
    assert without_deadlines(ENCODED) is ENCODED
    stack = combined(PLANS["stack"])
    assert without_deadlines(stack) == stack


def test_combinations_of_combinations_hold_everything() -> None:
    inner = combined(PLANS["plain"])
    outer = Combination({"a": inner, "b": line(1.0)}, (Average("n", OVER),))
    found = read_combination(combined(outer))
    assert read_combination(found.members["a"]) == PLANS["plain"]
    with pytest.raises(BadInput, match="combine less deeply"):
        _nested(20)


def _nested(depth: int) -> Model:
    inner = line(1.0) if depth == 0 else _nested(depth - 1)
    return combined(Combination({"a" * 20: inner, "b": line(1.0)}, (Average("n", ("a" * 20, "b")),)))


def _changed(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, bytes]], Any]:
    def in_plan(files: dict[str, bytes]) -> None:
        plan = json.loads(files[PLAN])
        change(plan)
        files[PLAN] = json.dumps(plan).encode()

    return in_plan


@pytest.mark.parametrize(
    "damage",
    [
        lambda files: files.pop(PLAN),
        lambda files: files.update({PLAN: b"\x80\x04K\x01."}),
        lambda files: files.update({PLAN: files[PLAN][:-9]}),
        lambda files: files.update({PLAN: b"[" * 100_000}),
        lambda files: files.pop("members.b.model.txt"),
        lambda files: files.update({"members.c.model.txt": b""}),
        lambda files: files.update({"members.b.model.txt": files["members.b.model.txt"] + b"\n"}),
        _changed(lambda plan: plan.update(format=2)),
        _changed(lambda plan: plan.update(more=1)),
        _changed(lambda plan: plan.pop("finals")),
        _changed(lambda plan: plan["nodes"][0].update(kind="magic")),
        _changed(lambda plan: plan["nodes"][0].update(over=["a"])),
        _changed(lambda plan: plan["nodes"][0].update(over=["a", "b", "n"])),
        _changed(lambda plan: plan["nodes"][0].update(over=["a", "c"])),
        _changed(lambda plan: plan["nodes"].append(plan["nodes"][0])),
        _changed(lambda plan: plan["members"].append(plan["members"][0])),
        _changed(lambda plan: plan["members"][0].update(name="../a")),
        _changed(lambda plan: plan["members"][1].update(deadline_ms=-1.0)),
        _changed(lambda plan: plan["members"][1].update(deadline_ms="soon")),
        _changed(lambda plan: plan["members"][1]["signature"].pop("columns")),
        _changed(lambda plan: plan["members"][1].update(encodings=[{"by": "keep"}, {"by": "exec"}])),
    ],
)
def test_what_is_no_whole_combination_is_corrupt(damage: Callable[[dict[str, bytes]], Any]) -> None:
    model = combined(PLANS["plain"])
    files = dict(model.files)
    damage(files)
    with pytest.raises(CorruptArtifact):
        read_combination(replace(model, files=files))


def test_a_card_with_other_columns_than_the_members_is_corrupt() -> None:
    model = combined(PLANS["plain"])
    with pytest.raises(CorruptArtifact, match="columns"):
        read_combination(replace(model, signature=VIEWED))
