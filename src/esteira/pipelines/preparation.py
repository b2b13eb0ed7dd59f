"""Everything about a run that is known before it begins: plan, parameters, code, pinned inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esteira.base.digest import digest_json
from esteira.pipelines.code import code_of
from esteira.pipelines.keys import Key
from esteira.pipelines.parameters import fitted, named, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.base.records import Artifact
    from esteira.pipelines.code import Code
    from esteira.pipelines.graph import Graph


@dataclass(frozen=True)
class Prepared:
    """A graph with the values and identities of one run."""

    graph: Graph
    plan: tuple[str, ...]
    parameters: Mapping[str, Mapping[str, object]]  # step → its run parameters, as the step wants them
    named: Mapping[str, Mapping[str, object]]  # the same by content
    plain: Mapping[str, Any]  # all of them as JSON values
    codes: Mapping[str, Code]
    inputs: Mapping[str, str]  # input → its pinned identity

    def key(self, step: str, stored: Mapping[str, Artifact]) -> Key:
        """The cache key of a step whose sources are all stored."""
        inputs = {name: f"{stored[name].codec} {stored[name].digest}" for name in self.graph.needs(step)}
        inputs |= {name: self.inputs[name] for name in self.graph.takes(step)}
        return Key(self.codes[step], self.named[step], inputs)

    def identity(self, project: str, *, use_cache: bool) -> str:
        """What makes two calls the same run."""
        codes = {name: self.codes[name].digest for name in self.plan}
        named = {name: self.named[name] for name in self.plan}
        return digest_json([project, codes, named, dict(self.inputs), use_cache])


def prepare(graph: Graph, targets: Sequence[str] | None, given: Mapping[str, object]) -> Prepared:
    """Check and pin everything, so that nothing starts that cannot end.

    Raises: UnknownStep, UnknownName (parameter), MissingParameter, WrongParameter, NaiveTime,
    UnresolvedAnnotation, ClosedOver.
    """
    plan = graph.plan(targets)
    graph.check_given(given)
    inputs = {name: each.identity for name, each in graph.inputs.items()}
    parameters: dict[str, dict[str, object]] = {}
    by_content: dict[str, dict[str, object]] = {}
    as_json: dict[str, object] = {}
    codes: dict[str, Code] = {}
    known: dict[int, Code] = {}
    for name in plan:
        step = graph.steps[name]
        _ = step.returns  # an annotation that cannot be resolved is refused before anything runs
        values = {each: fitted(step, each, value) for each, value in graph.arguments(name, given).items()}
        parameters[name] = values
        by_content[name] = {each: named(name, each, value) for each, value in values.items()}
        as_json |= {each: plain(name, each, value) for each, value in values.items()}
        if id(step.function) not in known:
            known[id(step.function)] = code_of(step.function, own_defaults=False)
        codes[name] = known[id(step.function)]
    return Prepared(graph, plan, parameters, by_content, as_json, codes, inputs)
