"""The command `esteira`."""

from __future__ import annotations

from esteira.cli.main import main

__all__ = ["main"]
