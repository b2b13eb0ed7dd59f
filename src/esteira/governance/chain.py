"""The hash chain: every record names the digest of the one before, so none can change alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esteira.base.digest import canonical_json, digest_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXTS = ("actor", "action", "resource", "reason", "facts", "previous", "digest")
GENESIS = "0" * 64  # what the first record names as the one before
_DOMAIN = b"esteira.audit.record.v1\x00"  # no digest of ours elsewhere can pass for a link


@dataclass(frozen=True, slots=True)
class BrokenRecord:
    """The first record that does not fit, and what is wrong with it."""

    seq: int
    reason: str


def link_digest(link: Mapping[str, object]) -> str:
    """The digest that seals a record: SHA-256 of a domain prefix and its canonical JSON without the digest.

    Raises: TypeError, ValueError when a value has no JSON spelling.
    Source: RFC 6962 §2.1 for the separation of domains, RFC 8785 for the spelling.
    >>> link_digest({"seq": 1, "previous": GENESIS})[:8]
    '43b17aad'
    """
    return digest_bytes(_DOMAIN + canonical_json(link))


def unsealed(row: Mapping[str, Any]) -> tuple[dict[str, object], str]:
    """The sealed part of a stored row, whose texts are bytes, and the digest that should seal it.

    Raises: ValueError when a text is not UTF-8 or the facts are not the one spelling of their JSON.
    """
    texts = {name: bytes(row[name]).decode() for name in TEXTS}
    facts = json.loads(texts["facts"])
    if canonical_json(facts).decode() != texts["facts"]:
        raise ValueError("its facts are not spelt as they were written")
    digest = texts.pop("digest")
    return {"seq": row["seq"], "at": row["at"], **texts, "facts": facts}, digest


def why_broken(row: Mapping[str, Any], seq: int, previous: str, length: int) -> BrokenRecord | None:
    """What is wrong with the row that should be record `seq` and follow the digest `previous`, if anything.

    `length` is the highest number in the ledger: how far to look for the place of a record that was moved.
    """
    if row["seq"] != seq:
        return BrokenRecord(seq, f"it is missing; the next one found is {row['seq']}")
    try:
        link, digest = unsealed(row)
        is_sealed = link_digest(link) == digest
    except (TypeError, ValueError) as unreadable:
        return BrokenRecord(seq, f"it was changed after it was written: {unreadable}")
    if not is_sealed:
        return BrokenRecord(seq, _why_unsealed(link, digest, length))
    if link["previous"] != previous:
        return BrokenRecord(seq, f"its link does not lead to record {seq - 1}: one of the two was rewritten")
    return None


def _why_unsealed(link: dict[str, object], digest: str, length: int) -> str:
    for place in range(1, length + 1):  # a hash each, but only once, on a ledger that is broken anyway
        if link_digest(link | {"seq": place}) == digest:
            return f"it stands here but was written as record {place}: the order was changed"
    return "it was changed after it was written: its fields do not give its digest"
