from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--until", "2013-13-01"), "is not an ISO 8601 time"),
        (("--until", "soon"), "is not an ISO 8601 time"),
        (("--language", "tlh"), "choose from 'en', 'pt-BR'"),
    ],
)
def test_words_that_cannot_be_used_make_no_folder(
    esteira: Command, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    code, _, err = esteira("demo", "-C", tmp_path / "demo", *words)
    assert code == 2
    assert said in err
    assert not (tmp_path / "demo").exists()


def test_help_says_where_the_demo_is_kept(esteira: Command) -> None:
    _, out, _ = esteira("demo", "--help")
    assert "--until DAY" in out
    assert "--no-wait" in out
