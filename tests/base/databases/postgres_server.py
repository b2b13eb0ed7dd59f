"""A PostgreSQL of our own for tests: its own port and folder, and it can be killed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

_INSTALLED = Path("/usr/lib/postgresql")  # Debian keeps them out of the path


class PostgresServer:
    """A server; `start` again after `kill` answers at the same address with what was committed."""

    def __init__(self) -> None:
        self._bin = _binaries()
        self._user = _unprivileged() if os.geteuid() == 0 else None  # it refuses to be run by root
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"postgresql://tester@127.0.0.1:{self.port}/postgres"
        self._run("initdb", "-A", "trust", "-U", "tester", "--no-sync", "-E", "UTF8")

    def schema(self, name: str) -> str:
        """The URL of a schema of its own, which is made if it is not there."""
        from esteira.base.databases.postgresql import PostgresDatabase

        PostgresDatabase(self.url, f"CREATE SCHEMA IF NOT EXISTS {name}").close()
        return f"{self.url}?options=-csearch_path%3D{name}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1"
        self._run("pg_ctl", "start", "-w", "-l", str(self._folder / "log"), "-o", options)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._run("pg_ctl", "stop", "-m", "immediate")

    def remove(self) -> None:
        """End it, if it runs, and forget its data."""
        if (self._folder / "data" / "postmaster.pid").exists():
            self.kill()
        shutil.rmtree(self._folder)

    def _run(self, program: str, *words: str) -> None:
        command = [str(self._bin / program), "-D", str(self._folder / "data"), *words]
        done = subprocess.run(
            command,
            user=self._user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, command


def _binaries() -> Path:
    found = shutil.which("initdb")
    newest = sorted(_INSTALLED.glob("*/bin/initdb"))
    if found is None and not newest:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl")
    return Path(found or newest[-1]).resolve().parent


def _unprivileged() -> str:
    import pwd

    names = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
