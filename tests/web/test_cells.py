from __future__ import annotations

from datetime import UTC, datetime

import pytest

from esteira.web.cells import code, decimal, moment, tag
from esteira.web.words import Words

SAY = Words("pt-BR")


def test_a_cell_says_its_thing_briefly_and_safely() -> None:
    assert code("0123456789abcdef") == "<code>0123456789ab</code>"
    assert code("<b>") == "<code>&lt;b&gt;</code>"
    assert moment(datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)) == "<time>2020-01-02 03:04</time>"
    assert (decimal(0.12345), decimal(None)) == ("0.123", "–")


@pytest.mark.parametrize("word", ["firing", "worse", "changed", "unreachable"])
def test_what_alarms_has_the_colour_of_alarm(word: str) -> None:
    assert tag(word, SAY) == f'<span class="tag alarm">{SAY(word)}</span>'


def test_what_is_well_has_not_and_no_word_has_no_tag() -> None:
    assert tag("current", SAY) == '<span class="tag">em dia</span>'
    assert tag("", SAY) == ""
