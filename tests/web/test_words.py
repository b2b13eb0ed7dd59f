from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import esteira.web.words as defining
from esteira.base.records import AlertState, RunStatus
from esteira.project.catalog import OnlineStatus
from esteira.project.overview import overview
from esteira.serving.rollout.state import RolloutState
from esteira.web import app
from esteira.web.ring import ring
from esteira.web.rollout_words import ROLLOUT_WORDS
from esteira.web.words import LANGUAGES, Words, negotiate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import StrEnum

    from esteira.project.station import Station

FOLDER = Path(defining.__file__).parent
PORTUGUESE: Mapping[str, str] = defining._PORTUGUESE
VERDICTS = {"ok", "worse", "drifted", "not enough data", "passed", "failed"}
MEASURES = {"count", "sum", "mean", "min", "max", "last", "distinct"}  # of a window, as a drawing names them
STATES: tuple[type[StrEnum], ...] = (AlertState, RunStatus, RolloutState, OnlineStatus)
STANDINGS = {
    "ready",
    "loading",
    "unloading",
    "unavailable",
    "valid",
    "expired",
    "revoked",
}
SAME = {"#", "PSI", "roc_auc", "quiet"}  # symbols, and names that the project gave


class Listener(Words):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__("pt-BR")
        self.heard: set[str] = set()

    def __call__(self, text: str) -> str:
        self.heard.add(text)
        return super().__call__(text)


def said_in_the_source() -> set[str]:
    texts = {node.value for path in FOLDER.glob("*.py") if path.name != "words.py" for node in _texts(path)}
    for path in (FOLDER / "templates").iterdir():
        texts |= set(re.findall(r"""say\(["']([^"']+)["']\)""", path.read_text(encoding="utf-8")))
    return texts


def _texts(path: Path) -> list[ast.Constant]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_every_text_that_is_said_has_its_portuguese(station: Station, empty: Station) -> None:
    say = Listener()
    for each in (station, empty):
        ring(overview(each), say, "pt-BR")
        for page in app._SECTIONS.values():
            for section in page(each, say):
                if section.chart == "" or section.columns:
                    say.heard |= {*section.columns, *([section.title] if section.columns else [])}
    say.heard |= {*app._SECTIONS, "ring", "The ring", "no such page"}
    for path in (FOLDER / "templates").iterdir():
        say.heard |= set(re.findall(r"""say\(["']([^"']+)["']\)""", path.read_text(encoding="utf-8")))
    runs = re.compile(r"^\d{8}T\d{6}-")
    missing = {text for text in say.heard - set(PORTUGUESE) - SAME if text and not runs.match(text)}
    assert missing == set()


@pytest.mark.parametrize("kind", STATES)
def test_every_state_has_its_portuguese(kind: type[StrEnum]) -> None:
    assert {state.value for state in kind} - set(PORTUGUESE) == set()
    assert (VERDICTS | MEASURES | STANDINGS) - set(PORTUGUESE) == set()


def test_every_translation_is_of_something_that_is_said() -> None:
    states = {state.value for kind in STATES for state in kind}
    known = states | VERDICTS | MEASURES | STANDINGS | {"champion", "challenger"}
    assert set(PORTUGUESE) - set(ROLLOUT_WORDS) - said_in_the_source() - known == set()


def test_an_unknown_text_stays_and_an_unknown_language_is_english() -> None:
    assert Words("pt-BR")("zebra") == "zebra"
    assert Words("tlh").language == "en"
    assert Words("en")("alerts") == "alerts"


def test_thousands_never_look_like_a_fraction() -> None:
    assert Words("en").count(1234567) == "1,234,567"
    assert Words("pt-BR").count(1234567) == "1\u00a0234\u00a0567"
    assert Words("pt-BR").count(12) == "12"


@pytest.mark.parametrize(
    ("wanted", "accepted", "default", "language"),
    [
        ("pt-BR", "en", "en", "pt-BR"),
        ("en", "pt", "pt-BR", "en"),
        (None, "pt-PT,en", "en", "pt-BR"),
        ("tlh", "PT", "en", "pt-BR"),
        (None, "en-GB,pt;q=0.5", "pt-BR", "en"),
        (None, "de", "pt-BR", "pt-BR"),
        (None, "", "en", "en"),
    ],
)
def test_a_visitor_reads_what_is_asked_for_then_accepted_then_the_projects(
    wanted: str | None, accepted: str, default: str, language: str
) -> None:
    assert negotiate(wanted, accepted, default) == language
    assert language in LANGUAGES
