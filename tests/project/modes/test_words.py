from __future__ import annotations

import pytest

from esteira.project.modes.measured import ModeMeasured
from esteira.project.modes.words import ratio_words, sentences, span


def mode(name: str, rows_per_s: float, p50_s: float, cpu: float | None = 10.0) -> ModeMeasured:
    seconds, start = 1000 / rows_per_s, 1.3 if name == "batch" else 1.0
    facts = {"linger_ms": 500.0}
    return ModeMeasured(name, 1000, start, seconds, {0.5: p50_s, 0.99: 2 * p50_s}, cpu, None, facts)


def said(**modes: tuple[float, float, float | None]) -> tuple[str, ...]:
    usual = {
        "batch": (140_000.0, 0.2, 1.0),
        "one": (10_000.0, 0.002, 10.0),
        "many": (90_000.0, 0.03, 2.0),
        "stream": (60_000.0, 0.4, 3.0),
    }
    names = ("batch", "online, 1 row a request", "online, 100 rows a request", "streaming")
    chosen = {**usual, **modes}
    return sentences(*(mode(name, *chosen[key]) for key, name in zip(usual, names, strict=True)))


def test_each_mode_is_praised_for_what_was_measured() -> None:
    batch, one, many, stream = said()
    assert batch == (
        "batch is 14 times as fast as one row a request, at 10 % of the processor time, and 30 % slower than "
        "the gateway to start (1.3 s beside 1.0 s): right when the rows are all there and none is waited for "
        "by itself."
    )
    assert "answered in 2 ms (p99 4 ms), and with 100 rows a request a row waits 30 ms: right when" in one
    assert "100 rows a request is 9 times as fast as one, at 20 % of the processor time" in many
    assert "the caller waits 30 ms instead of 2 ms: right when a caller has many rows at once" in many
    assert "streaming is 6 times as fast" in stream
    assert "400 ms after its message" in stream
    assert "right when rows come by themselves" in stream


def test_no_mode_is_praised_for_what_was_not_measured() -> None:
    batch, one, many, stream = said(
        batch=(5_000.0, 0.001, 30.0), many=(10_100.0, 0.3, 10.0), stream=(9_000.0, 0.4, None)
    )
    assert "50 % slower than one row a request, at 3 times the processor time" in batch
    assert "not right for 1,000 rows, as 100 rows a request is 2 times as fast as it" in batch
    assert "not the soonest here, as with batch a row waits 1 ms" in one
    assert "as fast as one, at as much processor time" in many
    assert "nothing is gained by it" in many
    assert "processor" not in stream
    assert "asking is cheaper" in stream


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (250.0, "250 times as fast as"),
        (1.04, "as fast as"),
        (1.96, "2 times as fast as"),
        (0.25, "75 % slower than"),
    ],
)
def test_a_ratio_is_said_as_people_say_it(ratio: float, words: str) -> None:
    assert ratio_words(ratio, "fast", "faster", "slower") == words


def test_a_span_is_said_with_its_unit() -> None:
    assert [span(each) for each in (0.0005, 0.0995, 0.45, 61.0)] == ["0.5 ms", "100 ms", "450 ms", "61.0 s"]
