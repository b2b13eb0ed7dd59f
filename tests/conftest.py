"""Fixtures that every room's tests share."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

settings.register_profile("esteira", deadline=None)  # how long an example takes is no law: machines are busy
settings.load_profile("esteira")

sys.path.insert(0, str(Path(__file__).parents[1]))


@pytest.fixture(autouse=True)
def _quiet_doors() -> Iterator[None]:
    """A door that a test opens configures the logs of the process; the next test gets them as they were."""
    logger = logging.getLogger("esteira")
    before = (list(logger.handlers), logger.level, logger.propagate)
    yield
    logger.handlers, logger.propagate = before[0], before[2]
    logger.setLevel(before[1])
