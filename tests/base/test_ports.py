from __future__ import annotations

import inspect
import pkgutil
from typing import Protocol

import pytest

import esteira
from esteira.base import ports
from esteira.base.optional import load

PORTS = [kind for kind in vars(ports).values() if inspect.isclass(kind) and kind.__module__ == ports.__name__]
UNANSWERED = {"Authorizer", "Notifier", "SubjectStore"}  # wishes whose first implementation is still to come


def _methods(kind: type) -> dict[str, list[str]]:
    """Method → the names of its parameters, in order."""
    found = {name: each for name, each in vars(kind).items() if not name.startswith("_") and callable(each)}
    found |= {name: each.__func__ for name, each in vars(kind).items() if isinstance(each, classmethod)}
    return {name: list(inspect.signature(each).parameters) for name, each in found.items()}


def _classes() -> list[type]:
    names = [each.name for each in pkgutil.walk_packages(esteira.__path__, "esteira.")]
    found = set()
    for name in names:
        if not name.endswith("__main__") and ".templates." not in name:
            found |= {kind for kind in load(f"{name}:__dict__").values() if inspect.isclass(kind)}
    ours = [
        kind for kind in found if kind.__module__.startswith("esteira.") and Protocol not in kind.__bases__
    ]
    return sorted(ours, key=lambda kind: kind.__qualname__)


def _answers(port: type) -> list[type]:
    """The classes that have every method of a port."""
    return [kind for kind in _classes() if set(_methods(port)) <= set(_methods(kind))]


@pytest.mark.parametrize("port", PORTS, ids=lambda port: port.__name__)
def test_a_port_is_documented_and_asks_for_little(port: type) -> None:
    assert Protocol in port.__bases__
    assert port.__doc__
    assert 1 <= len(_methods(port)) <= 2


@pytest.mark.parametrize("port", PORTS, ids=lambda port: port.__name__)
def test_who_answers_a_port_takes_what_the_port_gives(port: type) -> None:
    answers = _answers(port)
    assert (answers == []) == (port.__name__ in UNANSWERED)
    for kind in answers:
        for name, parameters in _methods(port).items():
            assert _methods(kind)[name][: len(parameters)] == parameters, f"{kind.__qualname__}.{name}"
