"""Whose code a file is."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import esteira.base.errors
from esteira.pipelines.owners import (
    COMPUTING,
    Owner,
    distributions_of,
    is_project,
    owner_of_file,
    owner_of_module,
    version_of,
)


@pytest.mark.parametrize(
    ("file", "owner"),
    [
        (json.__file__, Owner.PYTHON),
        (np.__file__, Owner.INSTALLED),
        (esteira.base.errors.__file__, Owner.ESTEIRA),
        (__file__, Owner.PROJECT),
        ("<frozen importlib>", Owner.PYTHON),
        ("<stdin>", Owner.PROJECT),
        ("/somewhere/.venv/lib/python3.11/site-packages/thing.py", Owner.INSTALLED),
        (str(Path(sys.prefix).parent / "flights.py"), Owner.PROJECT),
    ],
)
def test_a_file_has_an_owner(file: str, owner: Owner) -> None:
    assert owner_of_file(file) is owner


@pytest.mark.parametrize(
    ("module", "owner"),
    [
        ("json.decoder", Owner.PYTHON),
        ("builtins", Owner.PYTHON),
        ("numpy.linalg", Owner.INSTALLED),
        ("lightgbm", Owner.INSTALLED),  # not loaded here
        ("esteira.base.errors", Owner.ESTEIRA),
        ("esteira_project_flights", Owner.PROJECT),
        (__name__, Owner.PROJECT),
    ],
)
def test_a_module_has_an_owner(module: str, owner: Owner) -> None:
    assert owner_of_module(module) is owner
    assert is_project(module) is (owner is Owner.PROJECT)


def test_a_module_leads_to_the_distribution_that_brought_it() -> None:
    assert distributions_of("numpy.linalg") == {"numpy": np.__version__}
    assert distributions_of("sklearn") == {"scikit-learn": importlib.metadata.version("scikit-learn")}
    assert distributions_of("nothing_of_the_kind") == {}


def test_esteira_stands_for_what_it_computes_with() -> None:
    found = distributions_of("esteira.training.trainers")
    assert {"esteira-ml", *(name for name in COMPUTING if version_of(name))} == set(found)
