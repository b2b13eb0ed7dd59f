from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Command

    AsJson = Callable[..., tuple[int, Any]]


def test_a_key_is_shown_once_and_never_again(esteira: Command, empty_folder: Path) -> None:
    code, out, err = esteira("keys", "add", "shop", "--role", "predict", "-C", empty_folder)
    assert (code, err) == (0, "")
    key = out.splitlines()[0]
    assert key.startswith("esk_")
    assert "cannot be shown again" in out
    for words in (["keys", "list"], ["keys", "list", "--all", "--json"], ["keys", "revoke", "shop"]):
        code, out, err = esteira(*words, "-C", empty_folder)
        assert (code, err) == (0, "")
        assert "shop" in out
        assert key[12:] not in out


def test_machines_get_what_a_key_is_for(as_json: AsJson, empty_folder: Path) -> None:
    words = ["--role", "predict", "--role", "report", "--model", "late", "--model", "p-*", "--days", "0.5"]
    code, made = as_json("keys", "add", "shop", *words, "-C", empty_folder)
    assert code == 0
    assert made.pop("key").startswith(f"esk_{made['id']}")
    assert (made["roles"], made["models"], made["state"]) == (["predict", "report"], ["late", "p-*"], "valid")
    assert (made["created"], made["expires"]) == ("2020-03-01T00:00:00+00:00", "2020-03-01T12:00:00+00:00")
    assert as_json("keys", "list", "-C", empty_folder) == (0, {"keys": [made]})
    assert as_json("keys", "revoke", "shop", "-C", empty_folder)[1]["state"] == "revoked"
    assert as_json("keys", "list", "-C", empty_folder) == (0, {"keys": []})
    assert as_json("keys", "list", "--all", "-C", empty_folder)[1]["keys"] == [made | {"state": "revoked"}]


def test_a_key_ends_after_90_days_unless_told_otherwise(as_json: AsJson, empty_folder: Path) -> None:
    ninety = as_json("keys", "add", "a", "--role", "admin", "-C", empty_folder)[1]
    assert ninety["expires"] == "2020-05-30T00:00:00+00:00"
    assert (
        as_json("keys", "add", "b", "--role", "admin", "--forever", "-C", empty_folder)[1]["expires"] is None
    )


def test_without_keys_the_first_step_is_said(esteira: Command, empty_folder: Path) -> None:
    assert "esteira keys add NAME --role predict" in esteira("keys", "list", "-C", empty_folder)[1]


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        ("keys", "esteira keys --help"),
        ("keys add shop", "the following arguments are required: --role"),
        ("keys add shop --role root", "unknown role 'root'"),
        ("keys add shop --role predict --days 0", "must be a number of days above 0"),
        ("keys add shop --role predict --days nan", "must be a number of days above 0"),
        ("keys add shop --role predict --days 1 --forever", "not allowed with"),
        ("keys add shop* --role predict", "a key's name is"),
        ("keys revoke shop", "esteira keys list"),
    ],
)
def test_wrong_usage_ends_with_2_and_the_mend(
    esteira: Command, empty_folder: Path, words: str, mend: str
) -> None:
    code, out, err = esteira(*words.split(), *(["-C", empty_folder] if " " in words else []))
    assert (code, out) == (2, "")
    assert mend in err
    assert len(err.splitlines()) <= 2


def test_outside_of_a_project_folder_the_file_is_named(esteira: Command, tmp_path: Path) -> None:
    code, _, err = esteira("keys", "list", "-C", tmp_path)
    assert code == 2
    assert "esteira.toml" in err
    assert list(tmp_path.iterdir()) == []
