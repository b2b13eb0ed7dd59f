from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.serving.shadow.asked import Shadows
from tests.serving.worlds import tree_model

from esteira.serving.live import failures
from esteira.serving.shadow.held import NotHeld

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_named_is_held_and_what_is_not_named_any_more_is_let_go(tmp_path: Path) -> None:
    shadows = Shadows(tmp_path, tree_model(-1.0), tree_model(-2.0))
    assert [each.is_held for each in shadows.held] == [True, True]
    first = shadows.versions.find("late", "next", 2)
    assert (first.version, first.arm.name) == ("2", "next")
    assert [each.target.version for each in shadows.versions.hold(shadows.targets[:1])] == [2]
    assert shadows.versions.find("late", "next", 2) is first  # it was not loaded anew
    with pytest.raises(NotHeld, match="did not name it"):
        shadows.versions.find("late", "next", 3)
    assert shadows.versions.due_s is None


def test_a_version_that_cannot_be_loaded_says_why_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(failures, "RETRY_S", 0.0)
    shadows = Shadows(tmp_path)
    model = tree_model(-1.0)
    target = Shadows(tmp_path / "other", model).targets[0]
    assert [each.is_held for each in shadows.versions.hold([target])] == [False]
    with pytest.raises(NotHeld, match="cannot be loaded"):
        shadows.versions.find("late", "next", 2)
    assert shadows.versions.due_s == 0
    shadows.world.artifacts.put(model)
    assert [each.is_held for each in shadows.versions.again()] == [True]
    assert shadows.versions.due_s is None
    assert shadows.versions.find("late", "next", 2).version == "2"
    assert [record.message for record in caplog.records] == ["a shadow cannot be loaded"]


def test_a_version_that_is_no_model_at_all_is_a_failure_of_its_own(tmp_path: Path) -> None:
    shadows = Shadows(tmp_path, tree_model(-1.0))
    (target,) = shadows.targets
    (shadows.world.artifacts.folder(target.digest) / "model.txt").write_bytes(b"")
    shadows.versions.hold([])
    assert [each.is_held for each in shadows.versions.hold([target])] == [False]
    with pytest.raises(NotHeld, match="corrupt"):
        shadows.versions.find("late", "next", 2)
    assert 0 < (shadows.versions.due_s or 0) <= 1
