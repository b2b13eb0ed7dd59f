"""Nodes at work: each makes one score of those that it asks for, of a row alone as of the same among many.

Sums go over what is asked in its order, in plain additions of float64 in both ways: NumPy's own sum adds in
pairs, and Python's is compensated from 3.12 on. So a row gets the same bits alone and in a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import inf, isnan, nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from esteira.serving.combining.failures import NotFinite
from esteira.serving.combining.nodes import Average, Cascade, Fallback, Stacked, Vote, Weighted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.serving.combining.nodes import Node
    from esteira.serving.combining.passes import ManyRows, OneRow, Rows, Scores
    from esteira.serving.combining.sources import AskedModel

_ALWAYS_SURE = (inf, -inf)


class NodeSource(ABC):
    """What all nodes have: those that they ask, of whom some may be begun beside the others."""

    def __init__(self, node: Node, places: Mapping[str, int], timed: Sequence[int] = ()) -> None:
        self.name = node.name
        self.may_lack: bool = getattr(node, "may_lack", True)
        self._over = [places[name] for name in node.over]
        self._early = [place for place in self._over if place in timed]

    @abstractmethod
    def of_row(self, one: OneRow) -> float: ...

    @abstractmethod
    def of_rows(self, many: ManyRows, rows: Rows) -> Scores: ...

    def begin_row(self, one: OneRow) -> None:
        for place in self._early:
            one.begin(place)

    def begin_rows(self, many: ManyRows, rows: Rows) -> None:
        for place in self._early:
            many.begin(place, rows)


class MeanSource(NodeSource):
    """`Average` and `Weighted`: the sum of weighted scores by the sum of their weights."""

    def __init__(self, node: Average | Weighted, places: Mapping[str, int], timed: Sequence[int]) -> None:
        super().__init__(node, places, timed)
        weights = node.weights if isinstance(node, Weighted) else (1.0,) * len(node.over)
        self._plan = list(zip(self._over, weights, strict=True))

    def of_row(self, one: OneRow) -> float:
        self.begin_row(one)
        total, mass, is_whole = 0.0, 0.0, True
        for place, weight in self._plan:
            score = one.value(place)
            if score == score:  # noqa: PLR0124 - only NaN differs from itself
                total += weight * score
                mass += weight
            else:
                is_whole = False
        if not (mass and (is_whole or self.may_lack)):
            return nan
        mean = total / mass
        return mean if mean - mean == 0.0 else one.fail(self.name, NotFinite(mean))

    def of_rows(self, many: ManyRows, rows: Rows) -> Scores:
        self.begin_rows(many, rows)
        total, mass = np.zeros(len(rows)), np.zeros(len(rows))
        is_whole = np.ones(len(rows), dtype=bool)
        with np.errstate(over="ignore", invalid="ignore"):  # Python's floats too overflow without a word
            for place, weight in self._plan:
                scores = many.values(place, rows)
                there = scores == scores  # noqa: PLR0124 - only NaN differs from itself
                total += np.where(there, weight * scores, 0.0)
                mass += np.where(there, weight, 0.0)
                is_whole &= there
            mean: Scores = np.where(is_whole | self.may_lack, total / mass, nan)
        if np.isinf(mean).any():
            many.fail(self.name, NotFinite(inf))
            mean[np.isinf(mean)] = nan
        return mean


class VoteSource(NodeSource):
    """`Vote`: how many of those that are there are above their thresholds."""

    def __init__(self, node: Vote, places: Mapping[str, int], timed: Sequence[int]) -> None:
        super().__init__(node, places, timed)
        self._plan = list(zip(self._over, node.thresholds, strict=True))
        self._is_majority = node.majority

    def of_row(self, one: OneRow) -> float:
        self.begin_row(one)
        votes = voters = 0
        for place, threshold in self._plan:
            score = one.value(place)
            voters += score == score  # noqa: PLR0124 - only NaN differs from itself
            votes += score > threshold
        if not voters or (voters < len(self._plan) and not self.may_lack):
            return nan
        return float(2 * votes > voters) if self._is_majority else votes / voters

    def of_rows(self, many: ManyRows, rows: Rows) -> Scores:
        self.begin_rows(many, rows)
        votes, voters = np.zeros(len(rows)), np.zeros(len(rows))
        for place, threshold in self._plan:
            scores = many.values(place, rows)
            voters += scores == scores  # noqa: PLR0124 - only NaN differs from itself
            votes += scores > threshold
        with np.errstate(invalid="ignore"):
            share = np.where(2 * votes > voters, 1.0, 0.0) if self._is_majority else votes / voters
        least = 1 if self.may_lack else len(self._plan)
        result: Scores = np.where(voters >= least, share, nan)
        return result


class StackedSource(NodeSource):
    """`Stacked`: the scores are the row of a final model, whose columns have the names of what is asked."""

    def __init__(self, node: Stacked, places: Mapping[str, int], timed: Sequence[int], final: Final) -> None:
        super().__init__(node, places, timed)
        self._final = final.model
        self._columns = [places[name] for name in final.columns]

    def of_row(self, one: OneRow) -> float:
        self.begin_row(one)
        scores = [one.value(place) for place in self._columns]
        lacking = sum(map(isnan, scores))
        if lacking == len(scores) or (lacking and not self.may_lack):
            return nan
        return self._final.ask_row(one, scores)

    def of_rows(self, many: ManyRows, rows: Rows) -> Scores:
        self.begin_rows(many, rows)
        matrix = np.column_stack([many.values(place, rows) for place in self._columns])
        lacks = np.isnan(matrix)
        asked = ~(lacks.all(axis=1) if self.may_lack else lacks.any(axis=1))
        result = np.full(len(rows), nan)
        if asked.any():
            result[asked] = self._final.ask_rows(many, np.ascontiguousarray(matrix[asked]))
        return result


class CascadeSource(NodeSource):
    """`Cascade`: each is asked only for the rows of which those before were unsure."""

    def __init__(self, node: Cascade, places: Mapping[str, int]) -> None:
        super().__init__(node, places)
        self._stages = [
            (place, *band) for place, band in zip(self._over, (*node.unsure, _ALWAYS_SURE), strict=True)
        ]

    def of_row(self, one: OneRow) -> float:
        best = nan
        for place, low, high in self._stages:
            score = one.value(place)
            if score == score:  # noqa: PLR0124 - only NaN differs from itself
                best = score
                if not low < score < high:
                    break
            elif not self.may_lack:
                return nan
        return best

    def of_rows(self, many: ManyRows, rows: Rows) -> Scores:
        best, unsure = np.full(len(rows), nan), np.arange(len(rows))
        for place, low, high in self._stages:
            scores = many.values(place, rows[unsure])
            there = ~np.isnan(scores)
            kept = there if self.may_lack else np.ones(len(scores), dtype=bool)
            best[unsure[kept]] = scores[kept]
            goes_on = (low < scores) & (scores < high)
            unsure = unsure[goes_on | ~there if self.may_lack else goes_on]
        return best


class FallbackSource(NodeSource):
    """`Fallback`: the next is asked only for the rows of which those before said nothing."""

    def __init__(self, node: Fallback, places: Mapping[str, int]) -> None:
        super().__init__(node, places)

    def of_row(self, one: OneRow) -> float:
        for place in self._over:
            score = one.value(place)
            if score == score:  # noqa: PLR0124 - only NaN differs from itself
                return score
        return nan

    def of_rows(self, many: ManyRows, rows: Rows) -> Scores:
        found = np.full(len(rows), nan)
        for place in self._over:
            lacking = np.isnan(found)
            if not lacking.any():
                break
            found[lacking] = many.values(place, rows[lacking])
        return found


class Final(NamedTuple):
    """The final model of a stacked node, and its columns in their order."""

    model: AskedModel
    columns: tuple[str, ...]


def node_source(
    node: Node, places: Mapping[str, int], timed: Sequence[int], final: Final | None = None
) -> NodeSource:
    """A node at work. `places` are those of members and nodes by name, `timed` those of members with a
    deadline; a stacked node comes with its final model.
    """
    match node:
        case Average() | Weighted():
            return MeanSource(node, places, timed)
        case Vote():
            return VoteSource(node, places, timed)
        case Stacked():
            assert final is not None, "a combination has a final model for each stacked node"
            return StackedSource(node, places, timed, final)
        case Cascade():
            return CascadeSource(node, places)
        case Fallback():
            return FallbackSource(node, places)
