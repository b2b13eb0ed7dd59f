from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.live.memory import MIB
from esteira.serving.live.table import LargerThanMemory, LiveModel, LiveTable
from esteira.serving.routes import Arm, Routes
from esteira.serving.telemetry.metrics import Metrics


def model(name: str, size: int = 10, revision: int = 1) -> LiveModel:
    return LiveModel(Routes(name, (Arm("champion", 1, "ab", 1.0),), "s", revision), {}, size)


def test_without_a_limit_nobody_leaves() -> None:
    table = LiveTable(Metrics())
    for n in range(20):
        assert table.put(model(f"m{n}", size=10**12)) == []
    assert len(table.models) == 20


def test_a_table_is_replaced_and_never_changed() -> None:
    table = LiveTable(Metrics(), limit=20)
    table.put(model("a"))
    before = table.models
    table.put(model("b"))
    table.put(model("c"))
    table.drop("b")
    table.drop("b")
    assert list(before) == ["a"]
    assert list(table.models) == ["c"]


def test_who_was_not_asked_for_longest_leaves_and_who_is_new_does_not() -> None:
    metrics = Metrics()
    table = LiveTable(metrics, limit=30)
    for at, name in enumerate("abc"):
        table.put(model(name))
        table.models[name].used_at = 100 + at
    table.models["a"].used_at = 200
    assert table.put(model("d")) == ["b"]
    assert table.put(model("e")) == ["c"]
    assert sorted(table.models) == ["a", "d", "e"]
    shown = {labels[0]: value for labels, value in metrics.read()["esteira_model_info"].items()}
    assert shown == {"a": [1.0], "b": [0.0], "c": [0.0], "d": [1.0], "e": [1.0]}


def test_a_swap_counts_a_model_once_and_keeps_when_it_was_used() -> None:
    table = LiveTable(Metrics(), limit=20)
    table.put(model("a"))
    table.models["a"].used_at = 7
    table.put(model("b"))
    assert table.put(model("a", revision=2)) == []
    assert table.models["a"].used_at == 7


def test_what_alone_is_too_large_is_refused_with_the_mend_and_nobody_leaves() -> None:
    table = LiveTable(Metrics(), limit=2 * MIB)
    table.put(model("a"))
    with pytest.raises(LargerThanMemory, match=r"3\.0 MiB .*2\.0 MiB.*memory_mb"):
        table.make_room("b", 3 * MIB)
    with pytest.raises(LargerThanMemory):
        table.put(model("b", 3 * MIB))
    assert list(table.models) == ["a"]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abcdef"), st.integers(1, 60), st.booleans()), min_size=1, max_size=40
    )
)
def test_the_limit_holds_whatever_comes_and_the_least_recently_used_leave(
    steps: list[tuple[str, int, bool]],
) -> None:
    table = LiveTable(Metrics(), limit=100)
    for at, (name, size, is_room_made) in enumerate(steps):
        before = table.models
        if is_room_made:
            table.make_room(name, size)
            assert sum(each.size for other, each in table.models.items() if other != name) + size <= 100
        gone = set(before) - set(table.models) | set(table.put(model(name, size)))
        assert sum(each.size for each in table.models.values()) <= 100
        assert name in table.models
        stayed = set(before) - gone - {name}
        if gone and stayed:
            assert max(before[each].used_at for each in gone) <= min(before[each].used_at for each in stayed)
        table.models[name].used_at = at + 1


def test_only_an_arm_without_another_is_that_of_every_request() -> None:
    champion, idle = Arm("champion", 1, "ab", 1.0), Arm("challenger", 2, "cd", 0.0)
    held: Any = {arm.name: SimpleNamespace(version=str(arm.version)) for arm in (champion, idle)}
    only = LiveModel(Routes("late", (champion,), segments=("beta",)), held).only
    assert only is held["champion"]
    assert LiveModel(Routes("late", (champion, idle)), held).only is None  # it can be asked by its name


def test_outside_of_the_segments_every_key_is_the_champions() -> None:
    arms = (Arm("champion", 1, "ab", 0.5), Arm("challenger", 2, "cd", 0.5))
    held: Any = {arm.name: SimpleNamespace(version=str(arm.version)) for arm in arms}
    live = LiveModel(Routes("late", arms, "s", segments=("beta",)), held)
    keys = [f"k{n}" for n in range(50)]
    assert {live.choose(key, "beta").version for key in keys} == {"1", "2"}
    assert {live.choose(key, segment).version for key in keys for segment in ("", "other")} == {"1"}
