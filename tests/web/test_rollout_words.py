from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.web.rolled import rolled_once

from esteira.project.rollouts.plan_words import plan_words
from esteira.project.rollouts.report import report_of
from esteira.project.rollouts.report_sections import parts_of
from esteira.serving.rollout.losses import LOSSES, OUTCOME
from esteira.serving.rollout.strategies import STRATEGIES
from esteira.web import pressing, rollout_doors, signing
from esteira.web.pressing import ABORT, PAUSE, PROMOTE, RESUME, START
from esteira.web.rollout_words import ROLLOUT_WORDS
from esteira.web.words import Words

if TYPE_CHECKING:
    from esteira.project.station import Station

SAME = {"brier", "p50", "p99"}  # spelt alike in both languages


class Listener(Words):
    """Remembers what has no Portuguese."""

    def __init__(self) -> None:
        super().__init__("pt-BR")
        self.english: set[str] = set()

    def __call__(self, text: str) -> str:
        said = super().__call__(text)
        if said == text and text not in SAME:
            self.english.add(text)
        return said


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Station:
    return rolled_once(tmp_path_factory.getbasetemp())


def test_every_text_of_a_report_has_its_portuguese(station: Station) -> None:
    say = Listener()
    for rollout in station.rollouts.history("tiny"):
        parts_of(report_of(station, rollout.id), say)
    for kind in STRATEGIES.values():
        plan_words(kind(segments=("br",)), say)
    assert say.english == set()


def test_every_button_and_every_refusal_has_its_portuguese() -> None:
    texts = {text for each in (PAUSE, RESUME, PROMOTE, ABORT, START) for text in (each.name, each.told)}
    for module in (signing, rollout_doors, pressing):
        named = [value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)]
        texts |= {value for value in named if " " in value and "'none'" not in value}
    assert len(texts) > 20
    assert texts - set(ROLLOUT_WORDS) == set()


def test_every_metric_has_its_portuguese() -> None:
    names = {name.replace("_", " ") for name in (*LOSSES, OUTCOME)}
    assert names - set(ROLLOUT_WORDS) - SAME == set()


@pytest.mark.parametrize("text", [text for text in ROLLOUT_WORDS if "{" in text])
def test_a_translation_has_the_gaps_of_its_text(text: str) -> None:
    gaps = re.compile(r"{(\w+)}")
    assert sorted(gaps.findall(text)) == sorted(gaps.findall(ROLLOUT_WORDS[text]))


def test_no_text_stands_here_that_nobody_says() -> None:
    source = Path(rollout_doors.__file__).parents[1]
    said = "".join(
        each.read_text(encoding="utf-8").replace('"\n        "', "").replace('"\n    "', "")
        for folder in ("project/rollouts", "web", "web/templates", "serving/rollout")
        for each in (source / folder).iterdir()
        if each.suffix in {".py", ".html"} and each.name != "rollout_words.py"
    )
    names = {name.replace("_", " ") for name in LOSSES}
    assert {text for text in ROLLOUT_WORDS if text not in said} - names == set()
