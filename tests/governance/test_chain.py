from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.digest import canonical_json, digest_json
from esteira.governance.chain import GENESIS, TEXTS, link_digest, unsealed, why_broken

if TYPE_CHECKING:
    from collections.abc import Mapping

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def sealed(seq: int, previous: str = GENESIS, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A row as the ledger reads it: texts as bytes."""
    link = {
        "seq": seq,
        "at": 1_000_000 * seq,
        "actor": "ana",
        "action": "model.promote",
        "resource": "late@2",
        "reason": "",
        "previous": previous,
        "facts": dict(facts or {}),
    }
    row = link | {"facts": canonical_json(link["facts"]).decode(), "digest": link_digest(link)}
    return {name: value.encode() if name in TEXTS else value for name, value in row.items()}


def chain(length: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for seq in range(1, length + 1):
        rows.append(sealed(seq, rows[-1]["digest"].decode() if rows else GENESIS, {"n": seq}))
    return rows


def judge(rows: list[dict[str, Any]], at: int) -> str:
    before = rows[at - 1]["digest"].decode() if at else GENESIS
    broken = why_broken(rows[at], at + 1, before, len(rows))
    return broken.reason if broken else ""


def test_a_link_is_not_the_plain_digest_of_its_json() -> None:
    assert link_digest({"seq": 1}) != digest_json({"seq": 1})


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_any_json_facts_seal_and_read_back(facts: dict[str, Any]) -> None:
    row = sealed(1, facts=facts)
    link, digest = unsealed(row)
    assert link["facts"] == facts
    assert digest == link_digest(link)
    assert why_broken(row, 1, GENESIS, 1) is None


def test_an_unbroken_chain_has_nothing_to_say() -> None:
    rows = chain(4)
    assert [judge(rows, at) for at in range(4)] == ["", "", "", ""]


@pytest.mark.parametrize("name", ["at", "actor", "action", "resource", "reason", "previous", "digest"])
def test_every_field_is_sealed(name: str) -> None:
    rows = chain(3)
    rows[1][name] = rows[1][name] + 1 if name == "at" else rows[1][name][:-1] + b"~"
    assert "changed after it was written" in judge(rows, 1)


@pytest.mark.parametrize("facts", [b'{"n": 2}', b'{"n":2,"n":2}', b'{"n":NaN}', b"", b"\xff", None])
def test_facts_that_are_spelt_otherwise_are_a_change(facts: bytes | None) -> None:
    rows = chain(3)
    rows[1]["facts"] = facts
    assert "changed after it was written" in judge(rows, 1)


def test_a_missing_record_is_named_by_its_number() -> None:
    rows = chain(4)
    del rows[1]
    assert judge(rows, 1) == "it is missing; the next one found is 3"


def test_a_record_that_was_moved_is_told_from_one_that_was_changed() -> None:
    rows = chain(4)
    rows[1], rows[2] = rows[2] | {"seq": 2}, rows[1] | {"seq": 3}
    assert judge(rows, 1) == "it stands here but was written as record 3: the order was changed"


def test_a_record_rewritten_with_its_digest_shows_at_the_next_link() -> None:
    rows = chain(4)
    rows[1] = sealed(2, rows[0]["digest"].decode(), {"n": "forged"})
    assert judge(rows, 1) == ""
    assert "does not lead to record 2" in judge(rows, 2)
