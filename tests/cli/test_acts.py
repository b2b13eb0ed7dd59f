from __future__ import annotations

from argparse import ArgumentParser

import pytest

from esteira.cli.acts import add_acts


def parsed(*words: str) -> dict[str, object]:
    parser = ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-C", "--folder", default=".")
    add_acts(parser, {"list": "all of them", "show": "one of them"})["show"].add_argument("name")
    return vars(parser.parse_args(words))


@pytest.mark.parametrize("words", [("--json", "-C", "x", "show", "n"), ("show", "n", "--json", "-C", "x")])
def test_what_every_verb_takes_may_stand_before_the_act_or_after_it(words: tuple[str, ...]) -> None:
    assert parsed(*words) == {"json": True, "folder": "x", "act": "show", "name": "n"}


def test_what_is_not_said_has_its_default() -> None:
    assert parsed("list") == {"json": False, "folder": ".", "act": "list"}


@pytest.mark.parametrize("words", [(), ("jump",), ("show",)])
def test_without_a_known_act_it_is_a_usage_error(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed(*words)
    assert "usage" in capsys.readouterr().err
