from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.combining.models import line, summing
from tests.serving.worlds import VIEWED, tree_model

from esteira.base.errors import BadInput, UnknownName
from esteira.registry.columns import Column
from esteira.registry.signature import Signature
from esteira.registry.tensors import TensorSignature, TensorSpec
from esteira.serving.combining.combination import AsksLater, Combination, UnfitMember
from esteira.serving.combining.nodes import Average, Fallback, Stacked
from esteira.serving.combining.signatures import NotJoinable

if TYPE_CHECKING:
    from esteira.registry.bundle import Model

TWO = {"a": line(0.25), "b": line(0.75)}
OVER = ("a", "b")
PIXELS = TensorSignature((TensorSpec("x", "FP32", (-1,)),), (TensorSpec("y", "FP32", (-1,)),))
BOTH_OPTIONAL = [Column(name, optional=True) for name in OVER]


def combination(members: dict[str, Model] | None = None, *nodes: Any, **more: Any) -> Combination:
    return Combination(members or TWO, nodes or (Average("n", OVER),), **more)


def test_nodes_over_members_and_nodes_before_them_are_a_combination() -> None:
    made = combination(None, Average("n", OVER), Fallback("m", ("n", "a")))
    assert made.signature == TWO["a"].signature


@pytest.mark.parametrize(
    ("nodes", "error", "said"),
    [
        ([Average("n", ("a", "b", "c"))], UnknownName, "unknown member 'c'"),
        ([Average("n", ("a", "b", "n"))], AsksLater, "node 'n' asks 'n'"),
        ([Average("n", ("a", "m")), Average("m", ("n", "b"))], AsksLater, "'n' asks 'm', .*in no circle"),
        ([Average("n", OVER), Average("n", ("n", "a"))], BadInput, "two members or nodes are named 'n'"),
        ([Average("a", OVER)], BadInput, "two members or nodes are named 'a'"),
        ([Average("A", OVER)], BadInput, "two members or nodes are named 'A'"),
        ([Average("n.m", OVER)], BadInput, r"letters, digits, - and _, found 'n\.m'"),
        ([Average("", OVER)], BadInput, "letters, digits"),
        ([Average("n", ("a",))], BadInput, "nobody asks b; leave it out"),
        ([Average("m", OVER), Average("n", OVER)], BadInput, "nobody asks m"),
        ([Stacked("n", OVER)], BadInput, r"stacked nodes \(n\), found none"),
    ],
)
def test_nodes_that_ask_for_what_is_not_there_or_not_before_them_are_refused(
    nodes: list[Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        combination(None, *nodes)


def test_no_member_and_no_node_are_no_combination() -> None:
    with pytest.raises(BadInput, match="found 0 members and 1 nodes"):
        Combination({}, (Average("n", OVER),))
    with pytest.raises(BadInput, match="2 members and 0 nodes"):
        Combination(TWO, ())
    many = {f"m{n}": line(1.0) for n in range(65)}
    with pytest.raises(BadInput, match="1 to 64 members"):
        Combination(many, (Average("n", (*many,)),))


def test_a_member_of_tensors_is_refused() -> None:
    with pytest.raises(UnfitMember, match=r"model 'b' .*tensors"):
        combination({"a": TWO["a"], "b": replace(TWO["b"], tensors=PIXELS)})


def test_members_that_answer_several_questions_can_only_be_stacked() -> None:
    members = {"a": line(1.0), "b": summing([Column("miles", optional=True)], 1.0, target="minutes")}
    with pytest.raises(BadInput, match="several questions: a 'late', b 'minutes'"):
        combination(members)
    final = summing([Column(name) for name in OVER], 1.0, 1.0, target="refund")
    stack = combination(members, Stacked("n", OVER), finals={"n": final})
    assert stack.signature.target == "refund"


def test_members_whose_columns_contradict_each_other_are_refused() -> None:
    other = tree_model(1.0, Signature((Column("miles", "category", ("far",)),), "late"))
    with pytest.raises(NotJoinable, match="'miles'"):
        combination({"a": TWO["a"], "b": other})


@pytest.mark.parametrize(
    ("final", "may_lack", "said"),
    [
        (summing([Column("a")], 1.0), False, "must take the scores of a, b, it takes a"),
        (summing([Column(n) for n in "abc"], 1.0), False, "scores of a, b, it takes a, b, c"),
        (tree_model(1.0, VIEWED), False, "no tensors, views"),
        (replace(line(1.0), tensors=PIXELS), False, "no tensors"),
        (
            summing([Column("a"), Column("b", "category", ("x",))], 1.0),
            False,
            "the final model takes texts: b",
        ),
        (summing([Column("a"), Column("b", optional=True)], 1.0), True, "a never lacked a score"),
    ],
)
def test_a_final_model_that_does_not_take_the_scores_is_refused(
    final: Model, may_lack: bool, said: str
) -> None:
    with pytest.raises(UnfitMember, match=said):
        combination(None, Stacked("n", OVER, may_lack), finals={"n": final})


def test_a_final_model_may_have_its_columns_in_another_order_and_miss_what_it_learnt_to_miss() -> None:
    final = summing(BOTH_OPTIONAL[::-1], 1.0)
    assert combination(None, Stacked("n", OVER, may_lack=True), finals={"n": final}).finals == {"n": final}
    with pytest.raises(BadInput, match="final models are for stacked nodes"):
        combination(finals={"n": final})


@pytest.mark.parametrize("deadline_ms", [0, -1, float("nan"), float("inf"), 4e6])
def test_a_deadline_is_a_number_of_milliseconds_of_a_member(deadline_ms: float) -> None:
    with pytest.raises(BadInput, match="above 0 and at most 3600000 ms"):
        combination(deadlines_ms={"a": deadline_ms})
    with pytest.raises(UnknownName, match="unknown member 'n'"):
        combination(deadlines_ms={"n": 5})
