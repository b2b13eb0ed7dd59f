from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.runtimes.test_xgboost import SIGNATURE, trained

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.registry.bundle import Model
from esteira.serving.runtimes import open_runtime
from esteira.serving.runtimes.ubjson import decode
from esteira.serving.runtimes.xgboost_trees import check_trees

if TYPE_CHECKING:
    from collections.abc import Callable


@cache
def document() -> Any:
    model = trained("binary:logistic", "json", max_depth=4, max_cat_to_onehot=1)
    return json.loads(model.files["booster.json"])


def booster() -> Any:
    return deepcopy(document()["learner"]["gradient_booster"])


def chain(levels: int) -> dict[str, Any]:
    """A tree whose every right branch splits again."""
    nodes = 2 * levels + 1
    split = [*range(0, nodes - 1, 2)]
    left = [at + 1 if at in split[:-1] or at == split[-1] else -1 for at in range(nodes)]
    right = [at + 2 if at in {*split} else -1 for at in range(nodes)]
    parents = [2147483647, *((at - 1) // 2 * 2 for at in range(1, nodes))]
    return {
        "id": 0,
        "tree_param": {"size_leaf_vector": "1"},
        **{"left_children": left, "right_children": right, "parents": parents, "split_indices": [0] * nodes},
    }


def lone(tree: dict[str, Any]) -> dict[str, Any]:
    model = {"trees": [tree], "tree_info": [0], "gbtree_model_param": {}}
    return {"name": "gbtree", "model": model}


def with_categories(found: Any) -> Any:
    return next(tree for tree in found["model"]["trees"] if tree["categories_nodes"])


def test_what_xgboost_grew_is_sound_in_both_forms() -> None:
    check_trees(booster(), "booster.json", 7)
    binary = trained("binary:logistic", "ubj", booster="dart", rate_drop=0.3).files["model.ubj"]
    check_trees(decode(binary)["learner"]["gradient_booster"], "model.ubj", 7)
    check_trees(lone(chain(4000)), "booster.json", 7)


@pytest.mark.parametrize(
    ("name", "at", "value", "fault"),
    [
        ("left_children", 0, 10_000, "a branch to no node"),
        ("right_children", 0, -7, "a branch to no node"),
        ("left_children", 1, 0, "a branch to no node"),
        ("right_children", 0, 1, "two branches to one node"),
        ("left_children", 0, 2**32 + 1, "a branch to no node"),
        ("left_children", 0, 2**64, "integers"),
        ("left_children", 0, 1.5, "integers"),
        ("parents", 1, 10_000, "a node of no parent"),
        ("parents", 1, -1, "a node of no parent"),
        ("split_indices", 0, 7, "a split by no column"),
        ("split_indices", 0, -1, "a split by no column"),
    ],
)
def test_a_branch_that_leads_elsewhere_is_found(name: str, at: int, value: float, fault: str) -> None:
    found = booster()
    found["model"]["trees"][3][name][at] = value
    with pytest.raises(CorruptArtifact, match=fault):
        check_trees(found, "booster.json", 7)


@pytest.mark.parametrize(
    "name", ["left_children", "right_children", "parents", "split_indices", "split_type"]
)
def test_arrays_of_other_lengths_are_found(name: str) -> None:
    found = booster()
    found["model"]["trees"][3][name].append(0)
    with pytest.raises(CorruptArtifact, match="branches"):
        check_trees(found, "booster.json", 7)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("categories", lambda each: [-1, *each[1:]]),
        ("categories", lambda each: each[1:]),
        ("categories_sizes", lambda each: [10_000, *each[1:]]),
        ("categories_sizes", lambda each: [0, *each[1:]]),
        ("categories_segments", lambda each: [-5, *each[1:]]),
        ("categories_segments", lambda each: each[1:]),
        ("categories_nodes", lambda each: [each[0] + 1, *each[1:]]),
        ("categories_nodes", lambda each: []),
        ("split_type", lambda each: [2, *each[1:]]),
    ],
)
def test_a_set_of_categories_that_is_not_there_is_found(name: str, change: Callable[[Any], Any]) -> None:
    found = booster()
    tree = with_categories(found)
    tree[name] = change(tree[name])
    with pytest.raises(CorruptArtifact, match=r"found (a set|sets|a split)"):
        check_trees(found, "booster.json", 7)


def test_sets_of_categories_of_gigabytes_are_found() -> None:
    found = booster()
    with_categories(found)["categories"][-1] = 2**31 - 1
    with pytest.raises(CorruptArtifact, match="sets of"):
        check_trees(found, "booster.json", 7)


def test_a_tree_deeper_than_the_stack_is_found() -> None:
    with pytest.raises(CorruptArtifact, match="levels"):
        check_trees(lone(chain(5000)), "booster.json", 7)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"tree_info": [1] * 30}, "another score"),
        ({"iteration_indptr": [-5, 30]}, "out of order"),
        ({"iteration_indptr": []}, "index 0"),
        ({"gbtree_model_param": {"num_parallel_tree": "-30", "num_trees": "30"}}, "without a tree"),
        ({"gbtree_model_param": {"num_parallel_tree": float("inf")}}, "infinity"),
        ({"gbtree_model_param": []}, "attribute"),
        ({"trees": 7}, "int"),
    ],
)
def test_a_tree_that_adds_elsewhere_is_found(change: dict[str, Any], fault: str) -> None:
    found = booster()
    found["model"] |= change
    with pytest.raises(CorruptArtifact, match=fault):
        check_trees(found, "booster.json", 7)


def test_two_trees_in_one_place_and_weights_that_are_missing_are_found() -> None:
    found = booster()
    found["model"]["trees"][1]["id"] = 0
    with pytest.raises(CorruptArtifact, match="out of its place"):
        check_trees(found, "booster.json", 7)
    with pytest.raises(CorruptArtifact, match="weights"):
        check_trees({"name": "dart", "gbtree": booster(), "weight_drop": []}, "booster.json", 7)
    several = booster()
    several["model"]["trees"][0]["tree_param"]["size_leaf_vector"] = "3"
    with pytest.raises(CorruptArtifact, match="leaf"):
        check_trees(several, "booster.json", 7)


def opened(content: str) -> None:
    open_runtime(Model("xgboost", SIGNATURE, {"booster.json": content.encode()}))


def test_a_bundle_is_checked_before_the_library_reads_it() -> None:
    found = deepcopy(document())
    found["learner"]["gradient_booster"]["model"]["trees"][0]["left_children"][0] = 0
    with pytest.raises(CorruptArtifact, match="a branch to no node"):
        opened(json.dumps(found))


def test_a_name_that_the_library_reads_otherwise_is_corrupt() -> None:
    text = json.dumps(document())
    doubled = text.replace('"left_children":', '"left_children": [7], "\\u006ceft_children":', 1)
    assert json.loads(doubled) == document()
    with pytest.raises(CorruptArtifact, match="doubled"):
        opened(doubled)


@pytest.mark.parametrize("value", ["Infinity", "[7]", '{"a": 1}', "null", '"many"'])
def test_a_number_that_is_none_is_corrupt(value: str) -> None:
    found = deepcopy(document())
    found["learner"]["learner_model_param"]["num_feature"] = json.loads(value)
    with pytest.raises(CorruptArtifact, match="a model of XGBoost"):
        opened(json.dumps(found))


def test_an_objective_that_answers_with_fewer_numbers_than_rows_is_refused() -> None:
    found = deepcopy(document())
    objective = {"name": "multi:softmax", "softmax_multiclass_param": {"num_class": "3"}}
    found["learner"]["objective"] = objective
    with pytest.raises(BadInput, match="one score a row"):
        opened(json.dumps(found))
