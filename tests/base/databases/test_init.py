"""Databases are opened by their scheme."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from esteira.base.databases import open_database
from esteira.base.errors import UnknownScheme
from esteira.base.sqlite import Database

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_of_sqlite_is_opened_with_its_schema(tmp_path: Path) -> None:
    database = open_database(f"sqlite:{tmp_path}/x.db", "CREATE TABLE step (name TEXT)")
    assert isinstance(database, Database)
    assert list(database.rows("SELECT * FROM step")) == []


def test_a_scheme_that_nobody_serves_is_refused_with_those_that_are() -> None:
    with pytest.raises(UnknownScheme, match="postgres, postgresql, sqlite"):
        open_database("oracle://x")


def test_a_password_of_a_scheme_that_nobody_serves_is_not_shown() -> None:
    with pytest.raises(UnknownScheme, match=r"oracle://ana:\*\*\*@x/y") as refused:
        open_database("oracle://ana:s3cr@et@x/y")
    assert "s3cr" not in str(refused.value)
    assert "et@" not in refused.value.url


def test_a_server_that_nobody_asked_for_loads_no_vendor() -> None:
    code = "from esteira.base.databases import open_database; open_database('sqlite::memory:'); import sys;"
    done = subprocess.run([sys.executable, "-c", f"{code} sys.exit('psycopg' in sys.modules)"], check=False)
    assert done.returncode == 0
