"""Several models as one: averages, votes, stacks, cascades, fallbacks and small graphs.

Each makes a `Model` that holds its members whole, so it is registered, rolled out, served and watched as any
other, and a step of a project may return it. What each member gave to a prediction stands in the log.

>>> from esteira.registry import Column, Model, Signature
>>> from esteira.registry.terms import TERMS, Term, Terms
>>> from esteira.serving import open_runtime
>>> def line(column, slope):  # a tiny model: `slope` times one column
...     terms = Terms(1, 0.0, (Term(0, slope=slope),))
...     return Model("sklearn", Signature((Column(column),), "late"), {TERMS: terms.to_bytes()})
>>> two = {"fast": line("miles", 0.25), "deep": line("miles", 0.75)}
>>> def scores(model, *miles):
...     return [open_runtime(model).predict_row([each]) for each in miles]

>>> scores(average(two), 1.0), scores(weighted(two, {"fast": 0.5, "deep": 0.5}), 1.0)
([0.5], [0.5])
>>> scores(vote(two, 0.5), 1.0, 2.5), scores(vote(two, 0.5, majority=True), 1.0, 2.5)
([0.5, 1.0], [0.0, 1.0])
>>> scores(cascade(two, unsure={"fast": (0.2, 0.8)}), 1.0, 4.0)  # deep is asked, then fast is sure
[0.75, 1.0]
>>> scores(fallback(two, deadlines_ms={"fast": 1000}), 1.0)  # deep if fast has no answer in a second
[0.25]
>>> scores(stacked({"fast": two["fast"]}, line("fast", 2.0)), 1.0)  # train the last on `final_inputs`
[0.5]
>>> nodes = [Average("both", ("fast", "deep")), Cascade("answer", ("fast", "both"), ((0.2, 0.8),))]
>>> scores(graph(two, nodes), 1.0, 4.0)
[0.5, 1.0]
>>> open_runtime(cascade(two, unsure={"fast": (0.2, 0.8)})).predict_row_parts([4.0])  # and each member's part
(1.0, [1.0, nan])
"""

from __future__ import annotations

from esteira.serving.combining.build import average, cascade, fallback, graph, stacked, vote, weighted
from esteira.serving.combining.nodes import Average, Cascade, Fallback, Stacked, Vote, Weighted
from esteira.serving.combining.stacking import final_inputs

__all__ = [
    "Average",
    "Cascade",
    "Fallback",
    "Stacked",
    "Vote",
    "Weighted",
    "average",
    "cascade",
    "fallback",
    "final_inputs",
    "graph",
    "stacked",
    "vote",
    "weighted",
]
