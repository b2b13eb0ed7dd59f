from __future__ import annotations

import inspect
from typing import Protocol

import pytest

from esteira.base import ports
from esteira.base.optional import load

PORTS = {
    name: kind
    for name, kind in vars(ports).items()
    if inspect.isclass(kind) and kind.__module__ == ports.__name__
}
ANSWERS = {
    "AuditTrail": ["esteira.governance.ledger:AuditLedger"],
    "Clock": ["esteira.base.clock:SystemClock", "esteira.base.clock:SimulatedClock"],
    "PredictionSink": ["esteira.monitoring.prediction_log:PredictionLog"],
    "Storable": ["esteira.registry.bundle:Model"],
}
WISHES = {"Authorizer", "Notifier", "SubjectStore"}  # ports whose first implementation is still to come


def _methods(kind: type) -> dict[str, list[str]]:
    """Public method → the names of its parameters, in order."""
    found = inspect.getmembers(kind, lambda each: inspect.isfunction(each) or inspect.ismethod(each))
    return {
        name: list(inspect.signature(each).parameters) for name, each in found if not name.startswith("_")
    }


@pytest.mark.parametrize("port", PORTS.values(), ids=PORTS)
def test_a_port_is_documented_and_asks_for_little(port: type) -> None:
    assert Protocol in port.__bases__
    assert port.__doc__
    assert 1 <= len(_methods(port)) <= 2


def test_every_port_is_answered_or_a_wish() -> None:
    assert set(PORTS) == WISHES | set(ANSWERS)
    assert WISHES.isdisjoint(ANSWERS)


@pytest.mark.parametrize(
    ("port", "target"), [(port, each) for port, known in ANSWERS.items() for each in known]
)
def test_who_answers_a_port_takes_what_the_port_gives(port: str, target: str) -> None:
    asked, given = _methods(PORTS[port]), _methods(load(target))
    assert {name: given[name][: len(parameters)] for name, parameters in asked.items()} == asked
