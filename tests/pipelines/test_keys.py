"""The cache key holds everything a result may depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.digest import canonical_json
from esteira.pipelines import keys
from esteira.pipelines.code import Code
from esteira.pipelines.keys import Key
from esteira.pipelines.owners import version_of

if TYPE_CHECKING:
    from collections.abc import Mapping

CODE = Code({"m.f": "d1"}, {"numpy": "2.0"})
KEY = Key(CODE, {"seed": 7}, {"flights": "flights@3"})


@pytest.mark.parametrize(
    "other",
    [
        Key(Code({"m.f": "d2"}, {"numpy": "2.0"}), {"seed": 7}, {"flights": "flights@3"}),
        Key(Code({"m.f": "d1", "m.g": "d1"}, {"numpy": "2.0"}), {"seed": 7}, {"flights": "flights@3"}),
        Key(Code({"m.f": "d1"}, {"numpy": "2.1"}), {"seed": 7}, {"flights": "flights@3"}),
        Key(Code({"m.f": "d1"}, {}), {"seed": 7}, {"flights": "flights@3"}),
        Key(CODE, {"seed": 8}, {"flights": "flights@3"}),
        Key(CODE, {"seed": 7.0}, {"flights": "flights@3"}),
        Key(CODE, {"sed": 7}, {"flights": "flights@3"}),
        Key(CODE, {}, {"flights": "flights@3"}),
        Key(CODE, {"seed": 7}, {"flights": "flights@4"}),
        Key(CODE, {"seed": 7}, {"weather": "flights@3"}),
    ],
)
def test_anything_that_differs_gives_another_key(other: Key) -> None:
    assert other.digest != KEY.digest
    assert canonical_json(other.parts) != canonical_json(KEY.parts)


mappings = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2).map(str), max_size=3)


@given(mappings, mappings, mappings, mappings)
def test_keys_are_equal_exactly_when_what_they_hold_is(
    parameters: Mapping[str, Any],
    inputs: Mapping[str, str],
    others: Mapping[str, Any],
    more: Mapping[str, str],
) -> None:
    one, other = Key(CODE, parameters, inputs), Key(CODE, others, more)
    assert (one.digest == other.digest) == ((parameters, inputs) == (others, more))


def test_python_and_pyarrow_are_in_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert KEY.parts["versions"]["pyarrow"] == version_of("pyarrow")["pyarrow"]
    before = KEY.digest
    monkeypatch.setattr(keys, "PYTHON", "3.99")
    assert KEY.digest != before
    monkeypatch.undo()
    monkeypatch.setattr(keys, "version_of", lambda name: {name: "0.1"})
    assert KEY.digest != before
