"""Fixtures that every room's tests share."""

from __future__ import annotations

import logging
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.base.databases.postgres_server import PostgresServer

settings.register_profile("esteira", deadline=None)  # how long an example takes is no law: machines are busy
settings.load_profile("esteira")

sys.path.insert(0, str(Path(__file__).parents[1]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The guides first: they take longest, and what is long and last is waited for by everybody."""
    items.sort(key=lambda item: item.path.name != "test_guides.py")


@pytest.fixture(autouse=True)
def _quiet_doors() -> Iterator[None]:
    """A door that a test opens configures the logs of the process; the next test gets them as they were."""
    logger = logging.getLogger("esteira")
    before = (list(logger.handlers), logger.level, logger.propagate)
    yield
    logger.handlers, logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that no test ends."""
    from tests.base.databases.postgres_server import PostgresServer

    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def postgres_url(postgres: PostgresServer, tmp_path: Path) -> str:
    """An empty schema of it."""
    return postgres.schema("t" + sha256(str(tmp_path).encode()).hexdigest()[:16])


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty state store, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/state.db"
    found: str = request.getfixturevalue("postgres_url")
    return found
