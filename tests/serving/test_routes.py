from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, StorageUnwritable
from esteira.serving.routes import (
    Arm,
    ChangeUnderWay,
    Routes,
    RoutesMoved,
    RouteStore,
    Shadow,
    choose,
)

if TYPE_CHECKING:
    from pathlib import Path

SHARES = st.floats(0, 1)
KEYS = st.text(max_size=40)


def split(share: float, salt: str = "") -> Routes:
    arms = Arm("champion", 1, "a" * 64, 1 - share), Arm("challenger", 2, "b" * 64, share)
    return Routes("late", arms, salt)


@given(share=SHARES, salt=st.text(max_size=5), key=KEYS)
def test_a_key_gets_the_same_arm_however_often_it_asks(share: float, salt: str, key: str) -> None:
    assert choose(split(share, salt), key) == choose(split(share, salt), key)


@given(shares=st.tuples(SHARES, SHARES), key=KEYS)
def test_a_key_on_the_challenger_stays_there_when_its_share_grows(
    shares: tuple[float, float], key: str
) -> None:
    small, large = (choose(split(share), key).name for share in sorted(shares))
    assert (small, large) != ("challenger", "champion")


@given(key=KEYS)
def test_a_share_of_nothing_gets_nobody_and_a_share_of_one_everybody(key: str) -> None:
    assert choose(split(0.0), key).name == "champion"
    assert choose(split(1.0), key).name == "challenger"


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 0.9])
def test_keys_are_dealt_in_proportion_to_the_shares(share: float) -> None:
    trials = 40_000
    routes = split(share, salt="flight-delay")
    hits = sum(choose(routes, f"UA-{n}").name == "challenger" for n in range(trials))
    chi_squared = (hits - trials * share) ** 2 / (trials * share * (1 - share))
    assert chi_squared < 10.83  # 1 degree of freedom, 0.1 %


def test_three_arms_are_dealt_in_proportion_too() -> None:
    shares = {"champion": 0.5, "one": 0.3, "two": 0.2}
    routes = Routes("late", tuple(Arm(name, n, "", share) for n, (name, share) in enumerate(shares.items())))
    trials = 30_000
    chosen = [choose(routes, str(n)).name for n in range(trials)]
    statistic = sum(
        (chosen.count(name) - trials * share) ** 2 / (trials * share) for name, share in shares.items()
    )
    assert statistic < 13.82  # 2 degrees of freedom, 0.1 %


def test_another_salt_deals_the_keys_anew() -> None:
    keys = [str(n) for n in range(2000)]
    first, second = ({k for k in keys if choose(split(0.5, salt), k).version == 2} for salt in ("a", "b"))
    assert 400 < len(first & second) < 600  # independent: half of a half


def test_another_process_chooses_the_same_arms() -> None:
    program = (
        "from esteira.serving.routes import Arm, Routes, choose\n"
        "arms = Arm('champion', 1, 'a', 0.75), Arm('challenger', 2, 'b', 0.25)\n"
        "print(''.join(str(choose(Routes('late', arms, 's'), f'k{n}').version) for n in range(200)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    ours = "".join(str(choose(split(0.25, "s"), f"k{n}").version) for n in range(200))
    assert ended.stdout.strip() == ours
    assert {*ours} == {"1", "2"}


@pytest.mark.parametrize(
    "arms",
    [
        (),
        (Arm("challenger", 1, "a", 1.0),),
        (Arm("champion", 1, "a", 0.9),),
        (Arm("champion", 1, "a", 1.5), Arm("challenger", 2, "b", -0.5)),
        (Arm("champion", 1, "a", 0.5), Arm("champion", 2, "b", 0.5)),
        (Arm("champion", 1, "a", float("nan")),),
        (Arm("champion", 1, "a", 0.5), Arm("challenger", 2, "b", 0.5 + 1e-6)),
    ],
    ids=["empty", "no champion", "not one", "negative", "doubled", "not a number", "a little too much"],
)
def test_routes_that_mean_nothing_are_refused(arms: tuple[Arm, ...]) -> None:
    with pytest.raises(BadInput, match="'late'"):
        Routes("late", arms)


@pytest.fixture
def store(state_url: str) -> RouteStore:
    return RouteStore(state_url)


def test_a_model_without_routes_has_none(store: RouteStore) -> None:
    assert store.get("late") is None
    assert store.names() == []
    assert store.revisions() == {}


def test_each_setting_is_the_next_revision_and_the_earlier_stay(store: RouteStore) -> None:
    first, second = store.set(split(0.0)), store.set(split(0.25))
    assert (first.revision, second.revision) == (1, 2)
    assert store.get("late") == second
    assert store.get("late", 1) == first
    assert store.get("late", 3) is None


def test_models_count_their_revisions_apart(store: RouteStore) -> None:
    store.set(split(0.5))
    store.set(Routes("early", (Arm("champion", 9, "c", 1.0),)))
    assert store.names() == ["early", "late"]
    assert store.revisions() == {"early": 1, "late": 1}


def test_shares_and_salts_come_back_to_the_bit(store: RouteStore) -> None:
    share = 0.1 + 0.2
    kept = store.set(split(share, salt="é\n"))
    found = store.get("late")
    assert found == kept
    assert found is not None
    assert found.arms[1].share == share


def test_settings_at_the_same_time_get_revisions_of_their_own(store: RouteStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        revisions = list(pool.map(lambda n: store.set(split(n / 40)).revision, range(40)))
    assert sorted(revisions) == list(range(1, 41))


def test_routes_that_were_decided_on_by_what_is_not_in_force_any_more_are_not_set(store: RouteStore) -> None:
    first = store.set(split(0.0), expected_revision=0)
    second = store.set(split(0.25), expected_revision=first.revision)
    in_force = r"revision 2: champion 1 \(75%\), challenger 2 \(25%\)"
    for stale in (0, 1, 3):
        with pytest.raises(RoutesMoved, match=in_force) as moved:
            store.set(split(0.5), expected_revision=stale)
        assert (moved.value.status, moved.value.found) == (409, second)
    assert store.get("late") == second
    with pytest.raises(RoutesMoved, match="in force is nothing"):
        store.set(Routes("early", (Arm("champion", 1, "a", 1.0),)), expected_revision=1)


def test_of_those_who_decide_at_once_one_sets_the_routes(store: RouteStore) -> None:
    store.set(split(0.0))

    def decide(n: int) -> bool:
        try:
            store.set(split(n / 40), expected_revision=1)
        except RoutesMoved:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(decide, range(40))) == 1
    assert store.revision("late") == 2


def test_one_change_at_a_time_is_decided_on(store: RouteStore, state_url: str) -> None:
    other = RouteStore(state_url)

    def grow(by: RouteStore) -> None:
        with by.changing():
            now = by.get("late")
            by.set(split(0.01 * (now.revision if now else 0)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(grow, [store, other] * 10))
    found = store.get("late")
    assert found is not None
    assert (found.revision, found.arms[1].share) == (20, 0.19)


def test_a_change_by_another_process_is_noticed(store: RouteStore, state_url: str) -> None:
    before = store.changes()
    assert store.changes() == before
    RouteStore(state_url).set(split(0.5))
    assert store.changes() != before


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnwritable, match="choose another folder"):
        RouteStore(f"sqlite:{tmp_path}/file/state.db")


# ── who is asked besides, and whose requests are split ──────────────────────────────────────────────────

ALONE = (Arm("champion", 1, "a", 1.0),)


def test_shadows_and_segments_come_back_as_they_were_set(store: RouteStore) -> None:
    shadows = Shadow("challenger", 2, "b", 0.1), Shadow("other", 3, "c", 1.0)
    kept = store.set(Routes("late", ALONE, "s", shadows=shadows, segments=("beta", "é")))
    assert store.get("late") == kept
    assert (kept.shadows, kept.segments) == (shadows, ("beta", "é"))
    after = store.set(Routes("late", ALONE, "s"))
    assert (after.shadows, after.segments) == ((), ())
    assert store.get("late", 1) == kept


def test_a_shadow_is_no_version_that_answers(store: RouteStore) -> None:
    routes = store.set(Routes("late", ALONE, shadows=(Shadow("challenger", 2, "b", 1.0),)))
    assert store.versions() == {"late": ["1"]}
    assert {choose(routes, str(n)).version for n in range(200)} == {1}


@pytest.mark.parametrize(
    ("shadows", "segments"),
    [
        ((Shadow("challenger", 2, "b", 0.0),), ()),
        ((Shadow("challenger", 2, "b", 1.5),), ()),
        ((Shadow("challenger", 2, "b", float("nan")),), ()),
        ((Shadow("champion", 2, "b", 1.0),), ()),
        ((Shadow("one", 2, "b", 1.0), Shadow("one", 3, "c", 1.0)), ()),
        ((), ("beta", "")),
    ],
    ids=["nothing", "too much", "not a number", "an arm's name", "doubled", "no name"],
)
def test_shadows_and_segments_that_mean_nothing_are_refused(
    shadows: tuple[Shadow, ...], segments: tuple[str, ...]
) -> None:
    with pytest.raises(BadInput, match="'late'"):
        Routes("late", ALONE, shadows=shadows, segments=segments)


def test_a_champion_that_is_only_a_shadow_is_none() -> None:
    with pytest.raises(BadInput, match="need one arm named 'champion'"):
        Routes("late", (Arm("one", 1, "a", 1.0),), shadows=(Shadow("champion", 2, "b", 1.0),))


def test_without_segments_all_are_inside_and_with_them_only_those() -> None:
    assert Routes("late", ALONE).is_inside("")
    assert Routes("late", ALONE).is_inside("beta")
    inside = Routes("late", ALONE, segments=("beta", "staff"))
    assert [inside.is_inside(each) for each in ("beta", "staff", "bet", "")] == [True, True, False, False]


def test_a_change_that_somebody_holds_is_not_waited_for_beyond_the_patience(
    store: RouteStore, state_url: str
) -> None:
    other = RouteStore(state_url)
    with (
        store.changing(),
        ThreadPoolExecutor(1) as pool,
        pytest.raises(ChangeUnderWay, match="ask again"),
    ):
        pool.submit(lambda: other.changing(0.05).__enter__()).result()
    with other.changing(0.05):
        assert other.get("late") is None


def test_what_changed_since_is_told_once_for_each_model(store: RouteStore) -> None:
    store.set(split(0.1))
    seen = store.newest_change()
    store.set(Routes("early", ALONE))
    store.set(split(0.2))
    store.set(split(0.3))
    newest, models = store.changed_since(seen)
    assert models == ["early", "late"]
    assert newest == store.newest_change() > seen
    store.set_unloaded("early", is_unloaded=True)
    assert (store.changed_since(newest)[1], store.unloaded()) == (["early"], frozenset({"early"}))
    store.set_unloaded("early", is_unloaded=False)
    assert store.unloaded() == frozenset()
    assert store.changed_since(store.newest_change()) == (store.newest_change(), [])


# ── a database of before there were shadows ─────────────────────────────────────────────────────────────

OLD = """
CREATE TABLE routes (
    model TEXT NOT NULL, revision INTEGER NOT NULL, salt TEXT NOT NULL, arms TEXT NOT NULL,
    PRIMARY KEY (model, revision)
) WITHOUT ROWID;
CREATE TABLE known_versions (
    model TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (model, version)
) WITHOUT ROWID;
CREATE TABLE unloaded_models (model TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE route_changes (change INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL UNIQUE);
CREATE TRIGGER routes_insert AFTER INSERT ON routes BEGIN
    DELETE FROM route_changes WHERE model = NEW.model;
    INSERT INTO route_changes (model) VALUES (NEW.model);
END;
CREATE TRIGGER unloaded_models_insert AFTER INSERT ON unloaded_models BEGIN
    DELETE FROM route_changes WHERE model = NEW.model;
    INSERT INTO route_changes (model) VALUES (NEW.model);
END;
CREATE TRIGGER unloaded_models_delete AFTER DELETE ON unloaded_models BEGIN
    DELETE FROM route_changes WHERE model = OLD.model;
    INSERT INTO route_changes (model) VALUES (OLD.model);
END;
INSERT INTO routes VALUES
    ('late', 1, 'late', '[{"name": "champion", "version": 1, "digest": "a", "share": 1.0}]'),
    ('late', 2, 'late', '[{"name": "champion", "version": 1, "digest": "a", "share": 0.75},
                          {"name": "challenger", "version": 2, "digest": "b", "share": 0.25}]'),
    ('early', 1, 'early', '[{"name": "champion", "version": 9, "digest": "c", "share": 1.0}]');
INSERT INTO known_versions VALUES ('late', 1, 'a');
"""


@pytest.fixture
def old(tmp_path: Path) -> RouteStore:
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        database.executescript(OLD)
    return RouteStore(f"sqlite:{tmp_path}/state.db")


def test_an_old_database_opens_with_all_that_it_holds(old: RouteStore) -> None:
    found = old.get("late")
    assert found == Routes(
        "late", (Arm("champion", 1, "a", 0.75), Arm("challenger", 2, "b", 0.25)), "late", 2
    )
    assert old.revisions() == {"early": 1, "late": 2}
    assert old.known("late") == {1: "a"}
    assert old.versions() == {"early": ["9"], "late": ["1", "2"]}


def test_what_changes_in_an_old_database_is_told_as_in_a_new_one(old: RouteStore, tmp_path: Path) -> None:
    seen = old.newest_change()
    shadows = (Shadow("challenger", 2, "b", 1.0),)
    kept = old.set(Routes("late", ALONE, "late", shadows=shadows, segments=("beta",)), expected_revision=2)
    assert (kept.revision, old.get("late")) == (3, kept)
    newest, models = old.changed_since(seen)
    assert (models, newest > seen) == (["late"], True)
    old.set_unloaded("early", is_unloaded=True)
    assert old.changed_since(newest)[1] == ["early"]
    old.set_unloaded("early", is_unloaded=False)
    old.know("late", 1, "z")
    again = RouteStore(f"sqlite:{tmp_path}/state.db")
    assert (again.known("late"), again.unloaded(), again.revision("late")) == ({1: "z"}, frozenset(), 3)


def test_a_gateway_of_before_still_sees_what_is_set(old: RouteStore, tmp_path: Path) -> None:
    old.set(split(0.5))
    with closing(sqlite3.connect(tmp_path / "state.db")) as before:
        (text,) = before.execute("SELECT arms FROM routes WHERE model = 'late' AND revision = 3").fetchone()
        before.execute(
            "INSERT INTO routes VALUES ('early', 2, 'early', ?)", (text,)
        )  # as it sets them itself
        before.commit()
    seen = old.newest_change()
    assert old.revision("early") == 2
    old.set(split(0.6))
    assert old.changed_since(seen)[1] == ["late"]
