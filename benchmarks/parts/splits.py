"""How a million ids are dealt: in proportion, alike in every process, and at what cost."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from time import perf_counter

from esteira.serving.routes import Arm, Routes, choose

IDS = 1_000_000
SHARES = (0.01, 0.05, 0.25, 0.5)


def split(share: float) -> Routes:
    """A challenger with that share of the traffic."""
    return Routes("late", (Arm("champion", 1, "a", 1 - share), Arm("challenger", 2, "b", share)), salt="late")


def dealt(share: float, ids: int = IDS) -> str:
    """The version of each id, one letter each."""
    routes = split(share)
    return "".join(str(choose(routes, f"id-{number}").version) for number in range(ids))


def chi_squared(share: float, versions: str) -> float:
    """How far the counts are from the share; 1 degree of freedom: above 10.83 in a thousandth of cases."""
    ids = len(versions)
    hits = versions.count("2")
    return (hits - ids * share) ** 2 / (ids * share * (1 - share))


def elsewhere(share: float, ids: int = IDS) -> str:
    """The digest of what another process deals."""
    script = (
        "import sys; from benchmarks.parts.splits import dealt, digest; "
        "print(digest(dealt(float(sys.argv[1]), int(sys.argv[2]))))"
    )
    command = [sys.executable, "-c", script, str(share), str(ids)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def digest(versions: str) -> str:
    return sha256(versions.encode()).hexdigest()


def cost_ns(share: float, keys: int = 100_000) -> float:
    """What `choose` takes for one key; the least of five rounds."""
    routes, ids = split(share), [f"id-{number}" for number in range(keys)]
    rounds = []
    for _ in range(5):
        started = perf_counter()
        for each in ids:
            choose(routes, each)
        rounds.append(perf_counter() - started)
    return min(rounds) / keys * 1e9
