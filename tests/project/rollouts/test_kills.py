"""Whole rollouts in processes that are killed at random moments; `make bench-rollout` kills a thousand."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import ROOT

if TYPE_CHECKING:
    from esteira.project.station import Station


@pytest.mark.slow
def test_a_killed_rollout_resumes_in_a_legal_state_and_no_reader_ever_lacks_a_champion(two: Station) -> None:
    command = [sys.executable, "-m", "benchmarks.parts.kills", str(two.settings.root), "40", "20130601"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(ended.stdout)
    assert found["wrong"] == []
    assert (found["kills"], sum(found["left"].values())) == (40, 40)
    assert found["rollouts"] > 5  # some came to their end between the kills
    assert found["reads"] > 100
