from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from esteira.serving.combining.nodes import (
    Average,
    Cascade,
    Fallback,
    Node,
    Stacked,
    UnfitNode,
    Vote,
    Weighted,
)

if TYPE_CHECKING:
    from collections.abc import Callable

AB = ("a", "b")
ALL = [
    Average("n", AB, may_lack=True),
    Weighted("n", AB, (0.3, 0.7)),
    Vote("n", AB, (0.5, 0.25), majority=True),
    Stacked("n", AB),
    Cascade("n", ("a", "b", "c"), ((0.2, 0.8), (-1.0, 1.0))),
    Fallback("n", AB),
]


@pytest.mark.parametrize("node", ALL, ids=lambda node: type(node).__name__)
def test_a_node_comes_back_from_json_as_it_was(node: Node) -> None:
    assert msgspec.json.decode(msgspec.json.encode(node), type=Node) == node


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Average("n", ()), "needs 1 or more members, found 0"),
        (lambda: Average("n", ("a", "a")), "'a' stands in it twice"),
        (lambda: Weighted("n", AB, (0.5, 0.4)), "must sum to 1, found 0.9"),
        (lambda: Weighted("n", AB, (0.5, 0.5000001)), "must sum to 1"),
        (lambda: Weighted("n", AB, (1.0,)), "one finite weight for each of a, b"),
        (lambda: Weighted("n", AB, (1.5, -0.5)), "above 0, found -0.5"),
        (lambda: Weighted("n", AB, (float("nan"), 0.5)), "one finite weight"),
        (lambda: Vote("n", AB, (0.5,)), "one finite threshold"),
        (lambda: Vote("n", AB, (0.5, float("inf"))), "one finite threshold"),
        (lambda: Stacked("n", ()), "needs 1 or more"),
        (lambda: Cascade("n", ("a",), ()), "needs 2 or more members"),
        (lambda: Cascade("n", AB, ((0.8, 0.2),)), r"from a low score to a higher, found \(0.8, 0.2\) of 'a'"),
        (lambda: Cascade("n", AB, ((0.5, 0.5),)), "from a low score"),
        (lambda: Cascade("n", AB, ((0.5, float("inf")),)), "from a low score"),
        (lambda: Cascade("n", AB, ((float("nan"), 0.5),)), "one finite unsure band"),
        (lambda: Cascade("n", AB, ((0.1, 0.2), (0.1, 0.2))), "one finite unsure band for each of a, found"),
        (lambda: Fallback("n", ("a",)), "needs 2 or more members"),
    ],
)
def test_a_node_that_cannot_be_evaluated_is_refused(make: Callable[[], Node], said: str) -> None:
    with pytest.raises(UnfitNode, match=said):
        make()


def test_weights_that_are_not_quite_one_because_of_rounding_are_one() -> None:
    tenths = tuple(f"m{n}" for n in range(10))
    assert Weighted("n", tenths, (0.1,) * 10).weights == (0.1,) * 10
