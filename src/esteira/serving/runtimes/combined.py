"""Several models as one: averages, votes, stacks, cascades, fallbacks and small graphs of them."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

import numpy as np

from esteira.serving.combining.columns import MemberColumns
from esteira.serving.combining.evaluation import Final, node_source
from esteira.serving.combining.failures import no_answer
from esteira.serving.combining.files import read_combination
from esteira.serving.combining.passes import ManyRows, OneRow
from esteira.serving.combining.sources import AskedModel, InlineMember, TimedMember
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from esteira.registry.bundle import Model
    from esteira.registry.signature import Signature
    from esteira.serving.combining.combination import Combination
    from esteira.serving.combining.passes import Source
    from esteira.serving.runtimes.port import Runtime


class CombinedRuntime:
    """A combination, which also says what each of its members gave.

    It is exact if all its models are, as long as the same members answer: a deadline that is met in one call
    and missed in another makes two different answers. Raises: CorruptArtifact, and as `open_runtime`.
    """

    def __init__(self, model: Model) -> None:
        plan = read_combination(model)
        scorers = {name: open_runtime(each) for name, each in {**plan.members, **plan.finals}.items()}
        self.members = tuple(plan.members)  # in the order of the parts
        self.is_exact = all(each.is_exact for each in scorers.values())
        self.judges_rows = _any_says("judges_rows", scorers)
        self.may_wait = bool(plan.deadlines_ms) or any(
            getattr(s, "may_wait", False) for s in scorers.values()
        )
        self._sources = _sources(plan, model.signature, scorers)
        for source in self._sources:
            if isinstance(source, TimedMember):
                source.warm([0.0] * len(model.signature.columns))
        self._answer, self._width = len(self._sources) - 1, len(self.members)

    def predict_row(self, row: list[float]) -> float:
        return self.predict_row_parts(row)[0]

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.predict_parts(matrix)[0]

    def predict_row_parts(self, row: list[float]) -> tuple[float, list[float]]:
        """The score of a row and what each member gave: NaN if it was not asked, failed or was late.

        Raises: RowsRefused, MembersFailed (too few gave one).
        """
        one = OneRow(self._sources, row)
        score = one.value(self._answer)
        if score != score:  # noqa: PLR0124 - only NaN differs from itself
            raise no_answer(one.failures)
        return score, [nan if part is None else part for part in one.given[: self._width]]

    def predict_parts(self, matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same of many rows. Shapes: (rows, columns) in, (rows,) and (rows, members) out.

        Raises: as `predict_row_parts`, if one row or more have no score.
        """
        many = ManyRows(self._sources, matrix)
        scores = many.values(self._answer, np.arange(len(matrix)))
        if np.isnan(scores).any():
            raise no_answer(many.failures)
        return scores, np.ascontiguousarray(many.given[: self._width].T)


def _any_says(what: str, scorers: Mapping[str, Runtime]) -> bool:
    return any(getattr(each, what, False) for each in scorers.values())


def _sources(plan: Combination, joint: Signature, scorers: Mapping[str, Runtime]) -> list[Source]:
    """The members, then the nodes, as they can be asked."""
    sources: list[Source] = []
    for place, (name, model) in enumerate(plan.members.items()):
        columns, deadline_ms = MemberColumns(joint, model.signature), plan.deadlines_ms.get(name)
        if deadline_ms is None:
            sources.append(InlineMember(name, scorers[name], columns))
        else:
            sources.append(TimedMember(name, scorers[name], columns, place, deadline_ms))
    places = {name: place for place, name in enumerate([*plan.members, *(node.name for node in plan.nodes)])}
    timed = [places[name] for name in plan.deadlines_ms]
    for node in plan.nodes:
        final = None
        if node.name in plan.finals:
            columns_of_final = plan.finals[node.name].signature.names
            final = Final(AskedModel(node.name, scorers[node.name]), columns_of_final)
        sources.append(node_source(node, places, timed, final))
    return sources
