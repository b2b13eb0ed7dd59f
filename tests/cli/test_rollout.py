from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.web.stations import copy_of

from esteira.project.station import open_station

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command

    AsJson = Callable[..., tuple[int, Any]]


@pytest.fixture
def copied(lived_folder: Path, tmp_path: Path) -> Path:
    """A canary of version 2 is under way."""
    return copy_of(lived_folder, tmp_path / "copy")


@pytest.fixture
def free(copied: Path, esteira: Command) -> Path:
    """With that canary ended."""
    assert esteira("rollout", "abort", "-C", copied)[0] == 0
    return copied


def test_the_rollout_under_way_is_told(esteira: Command, as_json: AsJson, copied: Path) -> None:
    code, out, _ = esteira("rollout", "status", "-C", copied)
    assert code == 0
    assert "canary" in out
    assert "running at step 1 of 3" in out
    _, found = as_json("rollout", "status", "-C", copied)
    assert (found["rollout"]["share"], found["rollout"]["challenger"]) == (0.05, 2)


def test_a_rollout_is_paused_resumed_and_ended_by_hand_with_a_reason(as_json: AsJson, copied: Path) -> None:
    for act, state in (("pause", "paused"), ("resume", "running"), ("abort", "rolled back")):
        code, found = as_json("rollout", act, "--reason", f"we {act}", "-C", copied)
        assert (code, found["rollout"]["state"], found["rollout"]["reason"]) == (0, state, f"we {act}")
    reasons = [event.reason for event in open_station(copied).audit.events(limit=10)]
    assert {"we pause", "we resume", "we abort"} <= {*reasons}
    assert [arm["version"] for arm in found["routes"]["arms"]] == [1]


def test_a_person_may_promote_at_any_step(as_json: AsJson, copied: Path) -> None:
    code, found = as_json("rollout", "promote", "--reason", "the board wants it", "-C", copied)
    assert (code, found["rollout"]["state"]) == (0, "promoted")
    assert [(arm["name"], arm["version"], arm["share"]) for arm in found["routes"]["arms"]] == [
        ("champion", 2, 1.0)
    ]


def test_another_strategy_with_settings_begins(as_json: AsJson, esteira: Command, free: Path) -> None:
    words = ("--strategy", "shadow", "--set", "mirror=0.5", "--set", "segments=beta")
    code, found = as_json("rollout", "start", 2, *words, "-C", free)
    assert code == 0
    assert [(each["version"], each["share"]) for each in found["routes"]["shadows"]] == [(2, 0.5)]
    assert found["rollout"]["plan"]["strategy"] == "shadow"
    _, out, _ = esteira("rollout", "status", "-C", free)
    assert "version 2 50%" in out
    assert "beta" in out


def test_all_rollouts_are_listed_and_each_is_shown_with_its_moves(
    as_json: AsJson, esteira: Command, free: Path
) -> None:
    _, found = as_json("rollout", "list", "-C", free)
    assert [each["state"] for each in found["rollouts"]] == ["rolled back"]
    _, shown = as_json("rollout", "show", "-C", free)
    assert [each["state"] for each in shown["changes"]][-1] == "rolled back"
    code, out, _ = esteira("rollout", "show", shown["id"], "-C", free)
    assert code == 0
    assert "aborted by hand" in out
    assert "canary" in esteira("rollout", "list", "-C", free)[1]


def test_a_report_is_written_down(as_json: AsJson, free: Path) -> None:
    from pathlib import Path as Written

    code, found = as_json("rollout", "report", "-C", free)
    assert code == 0
    assert Written(found["report"]).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        (("pause",), "esteira rollout start"),
        (("promote",), "esteira rollout start"),
        (("start", 1), "is the champion already"),
        (("start", 99), "does not exist"),
        (("start", 2, "--strategy", "canari"), "canary"),
        (("start", 2, "--set", "shares=1,0.5"), "rising fractions"),
        (("start", 2, "--set", "size=1"), "shares"),
        (("show", "nobody"), "nobody"),
        (("start", 2, "--set", "shares"), "NAME=VALUE"),
    ],
)
def test_what_cannot_be_done_is_bad_input_and_changes_nothing(
    esteira: Command, free: Path, words: tuple[object, ...], mend: str
) -> None:
    before = open_station(free).routes.get("tiny")
    code, _, err = esteira("rollout", *words, "-C", free)
    assert code == 2, err
    assert mend in err
    assert open_station(free).routes.get("tiny") == before


def test_without_a_rollout_the_first_step_is_said(esteira: Command, empty_folder: Path) -> None:
    assert "esteira rollout start VERSION" in esteira("rollout", "status", "-C", empty_folder)[1]
    code, _, err = esteira("rollout", "report", "-C", empty_folder)
    assert code == 2
    assert "esteira rollout start VERSION" in err
