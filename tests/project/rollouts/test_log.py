from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.project.worlds import DAY, answer

from esteira.project.rollouts.log import RolloutLog
from esteira.project.rollouts.rolling import start_rollout
from esteira.serving.rollout.strategies import Canary, Shadow

if TYPE_CHECKING:
    from esteira.project.station import Station
    from esteira.serving.rollout.plan import RolloutPlan


def begun(two: Station, plan: RolloutPlan) -> RolloutLog:
    start_rollout(two, 2, "by hand", plan)
    rollout = two.rollouts.active("pump")
    assert rollout is not None
    return RolloutLog(two, rollout)


def test_both_versions_answer_in_a_canary_and_each_answer_counts_once(two: Station) -> None:
    log = begun(two, Canary((0.25, 1.0)))
    answered = answer(two, 1)
    rows = log.answers(two.clock.now())
    assert rows.num_rows == answered == len({*rows["id"].to_pylist()})
    assert {*rows["arm"].to_pylist()} == {"champion", "challenger"}
    assert "vector" not in rows.column_names


def test_answers_of_pinned_requests_and_of_other_models_are_left_out(two: Station) -> None:
    log = begun(two, Canary((0.25, 1.0)))
    answered = answer(two, 1)
    rows = two.tables.read("predictions").slice(0, 2)
    for number, (column, value) in enumerate((("arm", "pinned"), ("arm", "outside"), ("model", "other"))):
        at = rows.schema.get_field_index(column)
        changed = rows.set_column(at, column, pa.array([value] * 2)).set_column(
            0, "id", pa.array([f"{number}-{place}" for place in range(2)])
        )
        two.tables.append("predictions", changed)
    assert log.answers(two.clock.now()).num_rows == answered


def test_a_shadow_stands_beside_the_champion_with_its_label(two: Station) -> None:
    log = begun(two, Shadow())
    answered = answer(two, 1)
    rows = log.answers(two.clock.now())
    assert rows.num_rows == 2 * answered
    by_id: dict[str, set[float | None]] = {}
    for row in rows.to_pylist():
        by_id.setdefault(row["id"], set()).add(row["label"])
    assert len(by_id) == answered
    assert all(len(labels) == 1 for labels in by_id.values())


@pytest.mark.parametrize("plan", [Canary((0.25, 1.0)), Shadow()])
def test_vectors_are_read_for_the_rows_that_need_them(two: Station, plan: RolloutPlan) -> None:
    log = begun(two, plan)
    answer(two, 1)
    rows = log.answers(two.clock.now())
    mine = rows.filter(pa.array([arm == "challenger" for arm in rows["arm"].to_pylist()])).slice(3, 5)
    table = "shadows" if plan.mirrored else "predictions"
    logged = {row["id"]: row["vector"] for row in two.tables.read(table).to_pylist()}
    found = log.with_vectors(mine, are_shadows=bool(plan.mirrored))
    assert found["vector"].to_pylist() == [logged[name] for name in mine["id"].to_pylist()]
    assert log.with_vectors(mine.slice(0, 0)).column_names[-1] == "vector"


def test_before_anything_was_asked_there_is_nothing(two: Station) -> None:
    log = begun(two, Canary((0.25, 1.0)))
    now = two.clock.now()
    assert (log.answers(now).num_rows, log.failures(now).num_rows, log.before().num_rows) == (0, 0, 0)


def test_the_day_before_is_the_champions_alone(two: Station) -> None:
    answer(two, 2)
    log = begun(two, Canary((0.25, 1.0)))
    when = [("at", ">=", two.clock.now() - DAY)]
    assert log.before().num_rows == two.tables.read("predictions", where=when).num_rows > 0
    assert log.before().column_names == log.answers(two.clock.now()).column_names
