from __future__ import annotations

from datetime import UTC, datetime

import pytest

from esteira.web.cells import brief, code, decimal, moment, rate, seconds, share, size, tag
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


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0 µs"),
        (0.0009994, "999 µs"),
        (0.0009996, "1 ms"),
        (0.9996, "1 s"),
        (61.2, "61.2 s"),
        (None, "–"),
    ],
)
def test_a_short_time_has_the_unit_that_reads_best(value: float, said: str) -> None:
    assert seconds(value) == said


def test_memory_is_told_in_three_digits_and_the_unknown_as_a_dash() -> None:
    assert [size(1024**power * 1.5) for power in (1, 2, 3, 4, 5)] == [
        "1.5 KiB",
        "1.5 MiB",
        "1.5 GiB",
        "1.5 TiB",
        "1.54e+03 TiB",
    ]
    assert size(1023.9 * 1024) == "1 MiB"
    assert [size(None), seconds(None), rate(None, SAY), share(None)] == ["–"] * 4


def test_a_rate_below_ten_keeps_its_fraction() -> None:
    assert [rate(value, SAY) for value in (0.0, 0.05, 9.94, 9.96, 12345.6)] == [
        "0",
        "0.05",
        "9.9",
        "10",
        "12\N{NO-BREAK SPACE}346",
    ]


def test_a_text_that_is_short_enough_stays_whole() -> None:
    assert (brief("abc", 3), brief("abcd", 3)) == ("abc", "ab…")
