"""Fixtures that every room's tests share."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

settings.register_profile("esteira", deadline=None)  # how long an example takes is no law: machines are busy
settings.load_profile("esteira")

sys.path.insert(0, str(Path(__file__).parents[1]))
