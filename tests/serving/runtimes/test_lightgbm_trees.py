from __future__ import annotations

import random
import re
import subprocess
import sys
from functools import cache
from itertools import pairwise

import lightgbm
import numpy as np
import pytest

from esteira.base.errors import CorruptArtifact, EsteiraError
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature
from esteira.serving.runtimes import open_runtime
from esteira.serving.runtimes.lightgbm_trees import check_trees

SIGNATURE = Signature(tuple(Column(f"x{n}", optional=True) for n in range(3)), "late")
NODES = {b"split_feature": b"0 1 2", b"decision_type": b"2 2 1", b"threshold": b"0.5 -1 0"}
BRANCHES = {b"left_child": b"1 -1 -3", b"right_child": b"2 -2 -4", b"leaf_value": b"1 2 3 4"}
SETS = {b"num_cat": b"1", b"cat_boundaries": b"0 2", b"cat_threshold": b"7 4294967295"}
TREE = {b"num_leaves": b"4", **NODES, **BRANCHES, **SETS}
SUMS = {b"num_features": b"1 0 2 0", b"leaf_features": b"0   1 2 ", b"leaf_coeff": b"1   2 3 "}
LINEAR = {**TREE, b"is_linear": b"1", b"leaf_const": b"1 2 3 4", **SUMS}


@cache
def trained(*, is_linear: bool = False) -> bytes:
    drawn = np.random.default_rng(0)
    matrix = np.column_stack([drawn.normal(size=(300, 2)), drawn.integers(0, 40, 300)])
    labels = matrix[:, 0] * matrix[:, 1] + matrix[:, 2] % 3
    parameters = {"verbosity": -1, "num_threads": 1, "num_leaves": 5, "min_data_per_group": 5}
    data = lightgbm.Dataset(matrix, labels, categorical_feature=[2])
    booster = lightgbm.train({**parameters, "objective": "regression", "linear_tree": is_linear}, data, 3)
    return booster.model_to_string().encode()


def test_sound_trees_pass() -> None:
    leaf = {**dict.fromkeys(TREE, b""), b"num_leaves": b"1", b"num_cat": b"0", b"leaf_value": b"1"}
    check_trees([TREE, leaf, LINEAR], 3)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        (b"num_leaves", b"5", "lengths"),
        (b"num_leaves", b"0", "without a leaf"),
        (b"num_leaves", b"99999999999999999999", "lengths"),
        (b"num_leaves", b"", "lengths"),
        (b"left_child", b"1 -1", "lengths"),
        (b"left_child", b"1  -1", "integers"),
        (b"left_child", b"1 -1 -5", "no node"),
        (b"left_child", b"3 -1 -3", "no node"),
        (b"left_child", b"0 -1 -3", "no node"),
        (b"left_child", b"4294967297 -1 -3", "no node"),
        (b"left_child", b"2 -1 -3", "one node"),
        (b"left_child", b"1-1 -1 -3", "integers"),
        (b"left_child", b"1 --1 -3", "integers"),
        (b"right_child", b"2 1 -4", "one node"),
        (b"split_feature", b"0 1 3", "no column"),
        (b"split_feature", b"0 -1 2", "no column"),
        (b"split_feature", b"0 x 2", "integers"),
        (b"decision_type", b"2 2 12", "known kind"),
        (b"decision_type", b"2 2 257", "known kind"),
        (b"decision_type", b"3 2 1", "integers"),
        (b"threshold", b"0.5 -1 1", "not there"),
        (b"threshold", b"0.5 -1 -1", "not there"),
        (b"threshold", b"0.5 -1 1e9", "integers"),
        (b"threshold", b"0.5 -1", "thresholds"),
        (b"num_cat", b"0", "not there"),
        (b"num_cat", b"2", "lengths"),
        (b"num_cat", b"-1", "without a leaf"),
        (b"cat_boundaries", b"0 3", "one behind another"),
        (b"cat_boundaries", b"1 2", "one behind another"),
        (b"cat_boundaries", b"0 2147483647", "one behind another"),
        (b"cat_threshold", b"7 4294967296", "no categories"),
        (b"cat_threshold", b"7 -1", "no categories"),
        (b"cat_threshold", b"", "one behind another"),
    ],
)
def test_a_tree_that_leads_elsewhere_is_found(name: bytes, value: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        check_trees([TREE, {**TREE, name: value}, TREE], 3)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        (b"is_linear", b"2", "known sum"),
        (b"num_features", b"1 0 2 -1", "known sum"),
        (b"num_features", b"1 0 2 1", "lengths"),
        (b"leaf_features", b"0 1 3", "no column"),
        (b"leaf_coeff", b"1 2", "other terms"),
        (b"leaf_const", b"1 2", "other terms"),
    ],
)
def test_a_leaf_that_sums_elsewhere_is_found(name: bytes, value: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        check_trees([{**LINEAR, name: value}], 3)


def test_sets_that_overlap_are_found() -> None:
    two = {b"num_cat": b"2", b"cat_threshold": b"1 2 3"}
    check_trees([{**TREE, **two, b"cat_boundaries": b"0 2 3"}], 3)
    with pytest.raises(ValueError, match="one behind another"):
        check_trees([{**TREE, **two, b"cat_boundaries": b"0 9 3"}], 3)


def changed(drawn: random.Random) -> bytes:
    """A text with one number of one line of its trees or its head changed, its sizes made to fit."""
    text = trained(is_linear=drawn.random() < 0.5)
    lines = [*re.finditer(rb"(?m)^[a-z_]+=(.*)$", text[: text.index(b"end of trees")])]
    line = drawn.choice([each for each in lines if not each[0].startswith(b"tree_sizes")])
    words = line[1].split(b" ")
    odd = [b"-1", b"0", b"3", b"-9", b"77", b"2147483647", b"99999999999", b"", b"x", b"nan", b"--1", b"1 1"]
    words[drawn.randrange(len(words))] = drawn.choice(odd)
    text = text[: line.start(1)] + b" ".join(words) + text[line.end(1) :]
    starts = [each.start() for each in re.finditer(rb"(?m)^(Tree=|end of trees)", text)]
    sizes = b" ".join(b"%d" % (to - at) for at, to in pairwise(starts))
    return re.sub(rb"(?m)^tree_sizes=.*$", b"tree_sizes=" + sizes, text)


def score_or_refuse() -> None:
    """Open many changed texts and ask them; to be run in a process of its own."""
    drawn, rows = random.Random(0), np.random.default_rng(0).normal(scale=30, size=(30, 3))
    rows[0], rows[1] = np.nan, 1e300
    refused = 0
    for _ in range(80):
        try:
            open_runtime(Model("lightgbm", SIGNATURE, {"model.txt": changed(drawn)})).predict(rows)
        except EsteiraError:
            refused += 1
    assert 0 < refused < 80


def test_changed_texts_score_or_are_refused_and_end_no_process() -> None:
    program = "from tests.serving.runtimes.test_lightgbm_trees import score_or_refuse\nscore_or_refuse()"
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("is_linear", [False, True])
def test_scores_are_those_of_the_whole_text(*, is_linear: bool) -> None:
    text = trained(is_linear=is_linear)
    rows = np.random.default_rng(1).normal(scale=3, size=(100, 3))
    rows[:, 2] = np.arange(100) % 45
    rows[::7, 0] = np.nan
    whole = lightgbm.Booster(model_str=text.decode()).predict(rows, num_threads=1)
    served = open_runtime(Model("lightgbm", SIGNATURE, {"model.txt": text}))
    assert served.predict(rows).tolist() == whole.tolist()


@pytest.mark.parametrize("runtime", ["lightgbm", "lleaves"])
def test_both_runtimes_check_before_they_read(runtime: str) -> None:
    text = re.sub(rb"(?m)^split_feature=\d", b"split_feature=9", trained(), count=1)
    with pytest.raises(CorruptArtifact, match="a split by no column"):
        open_runtime(Model(runtime, SIGNATURE, {"model.txt": text}))
