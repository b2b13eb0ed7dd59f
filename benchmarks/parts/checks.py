"""Checks of answers, called by their name from the process that loads."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

SCORES = "BENCH_SCORES"  # names a file: version → the score of each thing that is asked
_NEAR = 1e-9


def whole_version(status: int, body: bytes, place: int) -> str:
    """Whether an answer of the Open Inference Protocol names a version and gives that version's score."""
    if status != 200:
        return f"status {status}"
    said = json.loads(body)
    version, score = said["model_version"], said["outputs"][0]["data"][0]
    known = _scores().get(version)
    if known is None:
        return f"version {version} was never deployed"
    return "" if abs(known[place] - score) < _NEAR else f"version {version} scored as another"


@cache
def _scores() -> dict[str, list[float]]:
    found: dict[str, list[float]] = json.loads(Path(os.environ[SCORES]).read_text(encoding="utf-8"))
    return found
