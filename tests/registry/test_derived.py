"""A transform as a model keeps it."""

from __future__ import annotations

import json

import pytest

from esteira.base.errors import CorruptArtifact
from esteira.registry.derived import Derived
from esteira.registry.expressions import Draft

_DRAFT = Draft({"miles": "number", "hours": "number"})
PACE = Derived("pace", _DRAFT.finish({"speed": _DRAFT.add("/", 0, 1), "far": _DRAFT.add("log", 0)}))


def test_columns_are_named_like_those_of_a_view() -> None:
    assert PACE.columns == ("pace__speed", "pace__far")


def test_only_what_a_model_asks_for_is_kept() -> None:
    kept = PACE.only(["pace__far", "origin"])
    assert kept.columns == ("pace__far",)
    assert kept.expression.inputs == (("miles", "number"),)


def test_a_transform_survives_json() -> None:
    assert Derived.from_plain(json.loads(json.dumps(PACE.to_plain()))) == PACE


def test_a_transform_without_steps_is_corrupt() -> None:
    with pytest.raises(CorruptArtifact, match="a transform"):
        Derived.from_plain({"name": "pace", "inputs": [], "outputs": []})
