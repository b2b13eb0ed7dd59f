"""At which moments to look for leaks: where a look into the future would show, if there were one.

A feature that looks too far ahead changes at a cutoff only for questions that were asked before it about
something that became known after it. Each such pair is an interval of cutoffs that would show it. Families
of intervals stand for kinds of leaks: the next row about the same, a row that says it was true before it was
known, a question that was still open. The best cutoff of each stretch of the questions lies in the most
and shortest intervals of all families.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from esteira.features.keys import WrongKey
from esteira.features.matching import KeyMatcher
from esteira.features.proofs.futures import NEVER_KNOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.features.proofs.futures import Questions, Source, World

_SHARE = 0.05  # of the questions, left out at both ends: too little lies before or after


@dataclass(frozen=True, slots=True)
class _Spans:
    """Intervals [start, end) of cutoffs, each with what it is worth; shape (intervals,)."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    worth: NDArray[np.float64]


def choose_cutoffs(world: World, count: int) -> NDArray[np.int64]:
    """Up to `count` moments in UTC microseconds, ascending, each of which some question was asked at."""
    questions = world.questions
    asked = questions.asked_us
    if not len(asked) or count < 1:
        return np.zeros(0, np.int64)
    everybody = np.zeros(len(asked), np.int64)
    families = [_next(asked, everybody, asked, everybody), _spans(asked, questions.known_us)]
    families += [spans for source in world.sources.values() for spans in _of_source(questions, source)]
    moments = np.unique(asked)
    worth = sum((_worth_at(moments, spans) for spans in families), np.zeros(len(moments)))
    edges = np.quantile(asked, np.linspace(_SHARE, 1 - _SHARE, count + 1), method="nearest")
    chosen = [_best(moments, worth, low, high) for low, high in pairwise(edges)]
    return np.unique(np.array(chosen, np.int64))


def _best(moments: NDArray[np.int64], worth: NDArray[np.float64], low: int, high: int) -> int:
    first, last = np.searchsorted(moments, [low, high])
    within = slice(int(first), int(max(last, first + 1)))
    return int(moments[within][np.argmax(worth[within])])


def _of_source(questions: Questions, source: Source) -> tuple[_Spans, ...]:
    asked = questions.asked_us
    mine, theirs = _codes(questions, source)
    return (
        _next(asked, mine, source.known_us, theirs),
        _tempting(theirs, source.since_us, source.known_us, mine, asked),
        _tempting(mine, asked + 1, questions.known_us, mine, asked),  # an open question about the same
    )


def _tempting(
    theirs: NDArray[np.int64],
    since: NDArray[np.int64],
    known: NDArray[np.int64],
    mine: NDArray[np.int64],
    asked: NDArray[np.int64],
) -> _Spans:
    """From a question to when something about the same was known that had been true before it."""
    late = (since < known) & (known < NEVER_KNOWN)
    first = _following(theirs[late], since[late] - 1, mine, asked)
    tempted = (first >= 0) & (first < known[late])
    return _spans(first[tempted], known[late][tempted])


def _codes(questions: Questions, source: Source) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Whom the questions and the rows are about, where both say so; else all are about the same."""
    there = {*questions.rows.column_names} & {*source.rows.column_names}
    if source.keys and {*source.keys} <= there:
        with suppress(WrongKey):  # columns of one name and two meanings
            matcher = KeyMatcher(questions.rows, source.keys)
            return matcher.codes, matcher.codes_of(source.rows, "a source")
    return np.zeros(questions.rows.num_rows, np.int64), np.zeros(source.rows.num_rows, np.int64)


def _next(
    asked: NDArray[np.int64], mine: NDArray[np.int64], known: NDArray[np.int64], theirs: NDArray[np.int64]
) -> _Spans:
    """From each question to the next row about the same that became known after it."""
    following = _following(mine, asked, theirs, known)
    has = (following >= 0) & (following < NEVER_KNOWN)
    return _spans(asked[has], following[has])


def _spans(start: NDArray[np.int64], end: NDArray[np.int64]) -> _Spans:
    """Intervals; each is worth about the chance that a look ahead, of whatever scale, passes its end."""
    held = end > start
    start, end = start[held], end[held]
    length = np.log((end - start).astype(np.float64))
    longest = length.max(initial=0.0)
    return _Spans(start, end, 1 - 0.9 * length / longest if longest else np.ones(len(length)))


def _following(
    codes: NDArray[np.int64], times: NDArray[np.int64], others: NDArray[np.int64], moments: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each (code, time) the first later moment among the others of that code; -1 when there is none."""
    rows = np.flatnonzero(others >= 0)
    all_codes = np.concatenate([others[rows], codes])
    all_times = np.concatenate([moments[rows], times])
    is_asking = np.concatenate([np.zeros(len(rows), np.int64), np.ones(len(codes), np.int64)])
    order = np.lexsort((is_asking, all_times, all_codes))  # a moment equal to the time stands before it
    places = np.where(is_asking[order] == 0, np.arange(len(order)), len(order))
    after = np.minimum.accumulate(places[::-1])[::-1]
    padded = np.append(order, -1)
    found = np.full(len(order), -1, np.int64)
    found[order] = padded[after]
    found = found[len(rows) :]
    is_same = (found >= 0) & (codes >= 0)
    is_same[is_same] = all_codes[found[is_same]] == codes[is_same]
    return np.where(is_same, all_times[found] if len(all_times) else -1, -1)


def _worth_at(moments: NDArray[np.int64], spans: _Spans) -> NDArray[np.float64]:
    """What the intervals that hold each moment are worth together, beside the best moment."""
    change = np.zeros(len(moments) + 1)
    np.add.at(change, np.searchsorted(moments, spans.start), spans.worth)
    np.add.at(change, np.searchsorted(moments, spans.end), -spans.worth)
    worth = np.cumsum(change)[:-1]
    best = worth.max(initial=0.0)
    return worth / best if best > 0 else np.zeros(len(moments))
