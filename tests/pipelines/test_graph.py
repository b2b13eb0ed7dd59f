"""Steps are wired by parameter names."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import UnknownName
from esteira.pipelines.graph import Cycle, DoubledName, Graph, MissingParameter, UnknownStep
from esteira.pipelines.inputs import Pinned
from esteira.pipelines.step import NotAStep, Step, step


def made(name: str, *needs: str, **defaults: object) -> Step[..., Any]:
    parameters = [*needs, *(f"{each}={value!r}" for each, value in defaults.items())]
    scope: dict[str, Any] = {}
    exec(f"def {name}({', '.join(parameters)}):\n    return 1\n", scope)
    return step(scope[name])


def test_a_step_stands_after_what_it_needs_otherwise_in_the_order_given() -> None:
    graph = Graph([made("c", "b"), made("z"), made("b", "a"), made("a")])
    assert [*graph.steps] == ["a", "b", "c", "z"]
    assert (graph.needs("c"), graph.needs("z")) == (("b",), ())


@given(st.data())
def test_every_acyclic_graph_is_ordered_and_every_cycle_found(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 8))
    edges = {at: data.draw(st.sets(st.integers(0, size - 1), max_size=3)) - {at} for at in range(size)}
    steps = [made(f"s{at}", *(f"s{each}" for each in sorted(needs))) for at, needs in edges.items()]
    try:
        order = [int(name[1:]) for name in Graph(steps).steps]
    except Cycle as cycle:
        path = [int(name[1:]) for name in cycle.path]
        assert path[0] == path[-1]
        assert all(after in edges[before] for before, after in pairwise(path))
    else:
        assert sorted(order) == list(range(size))
        assert all(order.index(need) < order.index(at) for at in edges for need in edges[at])


def test_a_cycle_is_told_as_a_path() -> None:
    with pytest.raises(Cycle, match="a needs b needs c needs a"):
        Graph([made("a", "b"), made("b", "c"), made("c", "a")])


def test_a_chain_of_ten_thousand_steps_is_a_graph_like_any_other() -> None:
    chain = [made("s0"), *(made(f"s{at}", f"s{at - 1}") for at in range(1, 10_000))]
    assert [*Graph(chain[::-1]).steps] == [each.name for each in chain]


def test_a_doubled_name_is_refused() -> None:
    with pytest.raises(DoubledName, match="'a' is used twice: two steps"):
        Graph([made("a"), made("a")])
    with pytest.raises(DoubledName, match="a step and an input"):
        Graph([made("a")], {"a": Pinned("a@1", lambda: 1)})
    with pytest.raises(DoubledName, match="default 7 in a and 8 in b"):
        Graph([made("a", seed=7), made("b", seed=8)])
    Graph([made("a", seed=7), made("b", seed=7), made("c", "seed")])


def test_a_missing_parameter_names_the_step_and_the_nearest_name() -> None:
    graph = Graph([made("flights"), made("model", "fligths")])
    with pytest.raises(MissingParameter, match=r"'model' needs 'fligths'.*did you mean 'flights'"):
        graph.arguments("model", {})
    with pytest.raises(MissingParameter, match="give it a default or set it"):
        Graph([made("model", "seed")]).arguments("model", {})


def test_a_parameter_that_no_step_takes_is_refused() -> None:
    graph = Graph([made("a", seed=1), made("b", "rows", "a")], {"rows": Pinned("rows@1", lambda: 1)})
    assert dict(graph.parameters) == {"seed": ("a",)}
    with pytest.raises(UnknownName, match="did you mean 'seed'"):
        graph.check_given({"sed": 1})
    for wired in ("a", "rows"):
        with pytest.raises(DoubledName, match="supplies it"):
            graph.check_given({wired: 1})


def test_arguments_are_given_or_by_default() -> None:
    graph = Graph([made("a", "rows", seed=1, days=2)], {"rows": Pinned("rows@1", lambda: 1)})
    assert graph.arguments("a", {"seed": 9}) == {"seed": 9, "days": 2}
    assert graph.takes("a") == ("rows",)


def test_a_plan_holds_what_the_targets_need_and_nothing_else() -> None:
    graph = Graph([made("a"), made("b", "a"), made("c", "a"), made("d", "b")])
    assert graph.plan() == ("a", "b", "c", "d")
    assert graph.plan(["d"]) == ("a", "b", "d")
    assert graph.plan([]) == ()
    with pytest.raises(UnknownStep, match="did you mean"):
        graph.plan(["dd"])


def test_a_plain_function_is_not_a_step() -> None:
    with pytest.raises(NotAStep, match="decorate it with @step"):
        Graph([len])
