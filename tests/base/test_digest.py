from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.digest import (
    canonical_json,
    digest_bytes,
    digest_file,
    digest_folder,
    digest_json,
    json_text,
)
from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@given(values)
def test_canonical_json_reads_back_as_the_same_value(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), leaves, min_size=2))
def test_the_order_in_which_keys_were_written_does_not_matter(value: dict[str, object]) -> None:
    backwards = dict(reversed(value.items()))
    assert canonical_json(value) == canonical_json(backwards)
    assert digest_json(value) == digest_json(backwards)


@given(values, values)
def test_two_values_share_a_digest_only_if_they_are_spelled_alike(one: object, other: object) -> None:
    assert (digest_json(one) == digest_json(other)) == (canonical_json(one) == canonical_json(other))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_spell_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"score": number})


def test_canonical_json_keeps_letters_as_they_are() -> None:
    assert canonical_json("São Paulo") == '"São Paulo"'.encode()


@given(st.binary())
def test_the_digest_of_bytes_is_sha256(content: bytes) -> None:
    assert digest_bytes(content) == digest_bytes(memoryview(content)) == hashlib.sha256(content).hexdigest()


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "model.txt").write_bytes(content)
    assert digest_file(tmp_path / "model.txt") == digest_bytes(content)


def _filled(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_the_digest_of_a_folder_does_not_depend_on_place_or_order(tmp_path: Path) -> None:
    names = ["b.txt", "deep/a.txt", "a.txt"]
    one = _filled(tmp_path / "one", names)
    other = _filled(tmp_path / "other", names[::-1])
    assert digest_folder(one) == digest_folder(other)


@pytest.mark.parametrize("change", ["content", "name", "extra", "missing"])
def test_any_change_in_a_folder_changes_its_digest(tmp_path: Path, change: str) -> None:
    folder = _filled(tmp_path / "model", ["model.json", "deep/model.txt"])
    before = digest_folder(folder)
    path = folder / "deep" / "model.txt"
    if change == "content":
        path.write_text("other")
    elif change == "name":
        path.rename(folder / "model.txt")
    elif change == "extra":
        (folder / "deep" / "more.txt").touch()
    else:
        path.unlink()
    assert digest_folder(folder) != before


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), object(), b"bytes", "\ud800"])
def test_what_has_no_json_spelling_is_bad_input_that_names_the_thing(value: object) -> None:
    with pytest.raises(BadInput, match="facts must be JSON values"):
        json_text({"fact": value}, "facts")
