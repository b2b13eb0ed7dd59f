from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import CorruptArtifact, NotFound
from esteira.data.tables.commits import Commits, Facts, commit_info

if TYPE_CHECKING:
    from pathlib import Path


def never(version: int) -> int:
    raise AssertionError(f"counted {version}, which says its rows itself")


@pytest.fixture
def commits() -> Commits:
    found = Commits("flights")
    for number, file in enumerate(["b.parquet", "", "a.parquet"]):
        facts = Facts(rows=10 if file else 0, at=number * 1_000_000, token=f"day {number}", file=file)
        found.add(facts.to_plain(), never)
    return found


def test_facts_survive_the_log(tmp_path: Path) -> None:
    facts = Facts(rows=2, at=5, token="january", file="a.parquet", digest="ab", spans={"at": (1, 9, 0)})
    path = tmp_path / "t" / "_delta_log" / "0.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"protocol":{}}\n' + json.dumps({"commitInfo": facts.to_plain()}) + "\n")
    found = Facts.of(commit_info(path))
    assert found is not None
    assert json.dumps(found.to_plain()) == json.dumps(facts.to_plain())


def test_an_entry_without_provenance_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "0.json"
    path.write_text('{"add":{}}\n')
    assert commit_info(path) == {}
    assert Facts.of({}) is None


@pytest.mark.parametrize("content", ['{"commitInfo":{', "\x00\x00", "3"])
def test_a_torn_entry_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "flights" / "_delta_log" / "0.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(CorruptArtifact, match=r"log of table flights is corrupt: .* 0\.json"):
        commit_info(path)


def test_rows_add_up_from_version_to_version(commits: Commits) -> None:
    assert [version.rows for version in commits.versions] == [10, 10, 20]
    assert [commits.added(version) for version in commits.versions] == [10, 0, 10]
    assert commits.versions[2].committed_at == datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)


def test_files_come_in_the_order_of_their_commits(commits: Commits) -> None:
    assert [[facts.file for facts in commits.files_until(n)] for n in range(3)] == [
        ["b.parquet"],
        ["b.parquet"],
        ["b.parquet", "a.parquet"],
    ]
    assert sorted(["a.parquet", "theirs", "b.parquet"], key=commits.order) == [
        "b.parquet",
        "a.parquet",
        "theirs",
    ]


def test_a_commit_is_found_by_its_token_and_by_its_file(commits: Commits) -> None:
    assert commits.holding("day 1") == commits.versions[1]
    assert commits.holding("day 3") is None
    assert commits.made_by("a.parquet") == commits.versions[2]
    assert commits.made_by("c.parquet") is None


def test_a_commit_of_another_tool_is_counted(commits: Commits) -> None:
    assert commits.is_ours
    commits.add({"timestamp": 7_000, "operation": "DELETE"}, lambda version: 4 + version)
    assert not commits.is_ours
    assert commits.versions[3].rows == 7
    assert commits.versions[3].committed_at == datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC)


def test_a_version_that_is_not_there_names_the_newest(commits: Commits) -> None:
    assert commits.version(None) == commits.version(2)
    with pytest.raises(NotFound, match="'flights@3' does not exist; the newest is flights@2"):
        commits.version(3)
