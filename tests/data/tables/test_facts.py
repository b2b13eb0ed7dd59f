from __future__ import annotations

import json

from esteira.data.tables.facts import Facts, Merge


def test_facts_of_an_append_survive_json() -> None:
    facts = Facts(2, 5, "january", "a.parquet", "ab", 9, {"at": (1, 9, 0)})
    found = Facts.of(json.loads(json.dumps(facts.to_plain())))
    assert found is not None
    assert json.dumps(found.to_plain()) == json.dumps(facts.to_plain())
    assert found.files == ["a.parquet"]
    assert "merges" not in facts.to_plain()["esteira"]


def test_facts_of_a_compaction_survive_json() -> None:
    made = Facts(3, 7, file="c.parquet", digest="cd", size=12)
    facts = Facts(0, 7, merges=[Merge(made, ("a.parquet", "b.parquet"))])
    found = Facts.of(json.loads(json.dumps(facts.to_plain())))
    assert found is not None
    assert [(merge.made, merge.replaced) for merge in found.merges] == [(made, ("a.parquet", "b.parquet"))]
    assert found.files == ["c.parquet"]


def test_commits_of_other_tools_have_no_facts() -> None:
    assert Facts.of({}) is None
    assert Facts.of({"esteira": "a word"}) is None
    assert Facts(0, 0).files == []
