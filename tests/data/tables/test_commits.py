from __future__ import annotations

from datetime import UTC, datetime

import pytest

from esteira.base.errors import NotFound
from esteira.data.tables.commits import Commits
from esteira.data.tables.facts import Entry, Facts, Merge


def never(version: int) -> int:
    raise AssertionError(f"counted {version}, which says its rows itself")


@pytest.fixture
def commits() -> Commits:
    found = Commits("flights")
    for number, file in enumerate(["b.parquet", "", "a.parquet"]):
        facts = Facts(rows=10 if file else 0, at=number * 1_000_000, token=f"day {number}", file=file)
        found.add(Entry(facts.to_plain(), added=facts.files), never)
    return found


def test_rows_add_up_from_version_to_version(commits: Commits) -> None:
    assert [version.rows for version in commits.versions] == [10, 10, 20]
    assert [commits.added(version) for version in commits.versions] == [10, 0, 10]
    assert commits.versions[2].committed_at == datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)


def test_files_come_in_the_order_of_their_commits(commits: Commits) -> None:
    assert [file.file for file in commits.layout.files] == ["b.parquet", "a.parquet"]
    named = ["a.parquet", "theirs", "b.parquet"]
    assert sorted(named, key=commits.order) == ["b.parquet", "a.parquet", "theirs"]


def test_a_compaction_adds_no_rows_and_takes_the_place_of_the_first_file(commits: Commits) -> None:
    merge = Merge(Facts(20, 3, file="z.parquet", digest="zz"), ("b.parquet", "a.parquet"))
    commits.add(Entry(Facts(0, 3, merges=[merge]).to_plain(), added=["z.parquet"]), never)
    assert [version.rows for version in commits.versions] == [10, 10, 20, 20]
    assert [file.file for file in commits.layout.files] == ["z.parquet"]
    assert commits.superseded == {"b.parquet": 3, "a.parquet": 3}
    assert commits.digests["z.parquet"] == "zz"
    assert commits.made_by(Facts(0, 3, merges=[merge])) == commits.versions[3]
    assert commits.holding("day 2") == commits.versions[2]
    assert commits.order("z.parquet") < commits.order("a.parquet")


def test_metadata_is_that_of_the_version(commits: Commits) -> None:
    commits.add(Entry(Facts(0, 4).to_plain(), metadata={"id": "old"}), never)
    commits.add(Entry(Facts(1, 5, file="c.parquet").to_plain()), never)
    commits.add(Entry(Facts(0, 6).to_plain(), metadata={"id": "new"}), never)
    assert [commits.metadata(number)["id"] for number in (3, 4, 5)] == ["old", "old", "new"]


def test_a_commit_is_found_by_its_token_and_by_its_file(commits: Commits) -> None:
    assert commits.holding("day 1") == commits.versions[1]
    assert commits.holding("day 3") is None
    assert commits.made_by(Facts(1, 0, file="a.parquet")) == commits.versions[2]
    assert commits.made_by(Facts(1, 0, file="c.parquet")) is None
    assert commits.made_by(Facts(0, 0)) == commits.versions[0]


def test_a_commit_of_another_tool_is_counted(commits: Commits) -> None:
    assert commits.is_ours
    commits.add(Entry({"timestamp": 7_000, "operation": "DELETE"}), lambda version: 4 + version)
    assert not commits.is_ours
    assert [commits.is_in_ours(number) for number in (2, 3)] == [True, False]
    assert commits.versions[3].rows == 7
    assert commits.versions[3].committed_at == datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC)


def test_a_version_that_is_not_there_names_the_newest(commits: Commits) -> None:
    assert commits.version(None) == commits.version(2)
    with pytest.raises(NotFound, match="'flights@3' does not exist; the newest is flights@2"):
        commits.version(3)
