from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.serving.rollout.houses import PLAN, PROMOTED, ROLLED_BACK, RUNNING, House

from esteira.serving.rollout.state import RolloutUnderWay
from esteira.serving.rollout.strategies import Bandit

if TYPE_CHECKING:
    from pathlib import Path

# As a store was before there were strategies, pauses and other databases.
OLD = """
CREATE TABLE rollouts (
    id TEXT PRIMARY KEY, model TEXT NOT NULL, champion_version INTEGER NOT NULL,
    challenger_version INTEGER NOT NULL, plan TEXT NOT NULL, step INTEGER NOT NULL, state TEXT NOT NULL,
    started_at INTEGER NOT NULL, step_since INTEGER NOT NULL, evidence TEXT NOT NULL, reason TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_rollout_per_model ON rollouts (model) WHERE state IN ('pending', 'running');
CREATE TABLE rollout_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, rollout TEXT NOT NULL REFERENCES rollouts (id), at INTEGER NOT NULL,
    state TEXT NOT NULL, step INTEGER NOT NULL, reason TEXT NOT NULL, evidence TEXT NOT NULL
) STRICT;
INSERT INTO rollouts VALUES
    ('20130501T000000-aaaaaaaa', 'late', 1, 2,
     '{"alpha":0.05,"bake":86400000000,"block":21600000000,"margin":0.01,"max_duration":2419200000000,
       "max_error_rate":0.01,"max_latency_ratio":3.0,"minimum":200,"shares":[0.05,0.25,1.0]}',
     0, 'rolled back', 1367366400000000, 1367366400000000, '{}', 'worse'),
    ('20130520T000000-bbbbbbbb', 'late', 1, 3,
     '{"alpha":0.05,"bake":86400000000,"block":21600000000,"margin":0.01,"max_duration":2419200000000,
       "max_error_rate":0.01,"max_latency_ratio":3.0,"minimum":200,"shares":[0.05,0.25,1.0]}',
     1, 'running', 1369008000000000, 1369094400000000, '{"mean":-0.1}', 'no harm');
INSERT INTO rollout_changes (rollout, at, state, step, reason, evidence) VALUES
    ('20130501T000000-aaaaaaaa', 1367366400000000, 'pending', -1, 'alert', '{}'),
    ('20130501T000000-aaaaaaaa', 1367366400000000, 'running', 0, 'alert', '{}'),
    ('20130501T000000-aaaaaaaa', 1367452800000000, 'rolled back', 0, 'worse', '{}'),
    ('20130520T000000-bbbbbbbb', 1369008000000000, 'pending', -1, 'alert', '{}'),
    ('20130520T000000-bbbbbbbb', 1369008000000000, 'running', 0, 'alert', '{}'),
    ('20130520T000000-bbbbbbbb', 1369094400000000, 'running', 1, 'no harm', '{"mean":-0.1}');
"""


@pytest.fixture
def old(tmp_path: Path) -> House:
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        database.executescript(OLD)
    return House(f"sqlite:{tmp_path}/state.db", tmp_path)


def test_an_old_database_opens_with_all_that_it_holds(old: House) -> None:
    first, second = old.store.history("late")
    assert (first.challenger_version, first.state) == (2, ROLLED_BACK)
    assert (second.state, second.step, second.share, second.evidence) == (RUNNING, 1, 0.25, {"mean": -0.1})
    assert second.plan == PLAN
    assert old.store.active("late") == second
    assert [each.step for each in old.store.changes(second.id)] == [-1, 0, 1]


def test_a_rollout_of_an_old_database_goes_on_in_ways_it_did_not_know(old: House) -> None:
    rollout = old.store.active("late")
    assert rollout is not None
    paused = old.open().pause(rollout, "lunch")
    with pytest.raises(RolloutUnderWay):
        old.open().start("late", 1, 4, PLAN)
    last = old.store.advance(old.store.resume(paused, "back"), "no harm")
    assert old.store.finish(last, PROMOTED, "better").state is PROMOTED
    after = old.open().start("late", 3, 4, Bandit())
    assert [each.id for each in old.open().history("late")][2:] == [after.id]
    assert old.store.shift(old.store.advance(after, "begin"), 80, "outcomes").share == 0.85


def test_an_old_index_gives_way_to_one_that_counts_pauses(old: House, tmp_path: Path) -> None:
    old.open()
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        rows = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL")
        assert [(name, "paused" in sql) for name, sql in rows] == [("one_active_rollout", True)]
        rollout = old.store.active("late")
        assert rollout is not None
        old.store.pause(rollout, "lunch")
        with pytest.raises(sqlite3.IntegrityError):
            database.execute(
                "INSERT INTO rollouts SELECT 'x', model, 1, 5, plan, -1, 'pending', 0, 0, '{}', '' "
                "FROM rollouts LIMIT 1"
            )
