"""How often a rollout is decided wrongly, how soon harm is seen, and whether it survives being killed.

The rollouts are simulated request by request (parts/rollouts.py) and judged by the analysis that judges real
ones, after every hundred requests. The kills are real: processes, databases, a registry.
Every seed is fixed: the runs of a table have the seeds 0, 1, 2…
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np
from benchmarks.parts.rollouts import Harm, Traffic, followed, silent
from benchmarks.parts.splits import SHARES, chi_squared, cost_ns, dealt, digest, elsewhere
from benchmarks.parts.thompson import ours, reference, replay
from benchmarks.report import Figure, Report
from tests.project.worlds import HOUR, LIVE, lay

from esteira.project.release import judge_and_register, train
from esteira.project.ring import Ring
from esteira.project.station import open_station
from esteira.serving.rollout.strategies import ABTest, Bandit, BlueGreen, Canary, ChampionChallenger, Shadow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.parts.rollouts import Ended

RUNS, FEWER, KILLS = 1_000, 200, 1_000
HALF, FEW = RUNS // 2, 40
WITHIN = 2_000  # requests of the challenger
BUSY = Traffic(requests=60_000, days=7.0)  # in which harm is looked for
FAILING = Traffic(requests=60_000, days=7.0, error_rate=0.01)  # of which both versions fail as often
INJECTED = {
    "errors_1_to_5_percent": Harm(error_rate=0.04),
    "errors_1_to_20_percent": Harm(error_rate=0.19),
    "latency_5_times": Harm(slower=5.0),
    "slow_twentieth": Harm(slow_share=0.05),
    "scores_shifted_half": Harm(shifted=0.6),
    "scores_shifted_most": Harm(shifted=0.8),
    "nonfinite_hundredth": Harm(nonfinite=0.01),
    "split_loses_half": Harm(lost=0.5),
    "split_loses_fifth": Harm(lost=0.2),
}
BARELY = {"slow_fiftieth": Harm(slow_share=0.02), "slow_thirtieth": Harm(slow_share=1 / 30)}  # told, no goal
BANDITS = ((0.1, 0.12), (0.3, 0.4))  # what champion and challenger bring
REPLAYS, REPLAYED, DEALT_EVERY = 100, 10_000, 100
Part = Callable[[Report], None]


def _percent(found: list[bool]) -> float:
    return 100 * mean(found)


def _outcomes(report: Report, name: str, found: list[Ended], *, rivals: str) -> None:
    """How runs ended; `rivals` says whether promoting is wrong ("no better") or right ("equal")."""
    promoted = _percent([each.kind == "promote" for each in found])
    report.add(Figure(f"{name}_blamed", _percent([each.is_blamed for each in found]), "%", 1.0))
    report.add(Figure(f"{name}_promoted", promoted, "%", 5.0 if rivals == "no better" else None))
    report.add(Figure(f"{name}_days", float(np.median([each.days for each in found])), "days"))


def equal(report: Report) -> None:
    """Rollouts of a challenger that is no better: false rollbacks and false promotions."""
    _outcomes(report, "aa_better", followed(RUNS, Canary()), rivals="no better")
    _outcomes(report, "aa_harmless", followed(RUNS, Canary(goal="harmless")), rivals="equal")
    _outcomes(report, "aa_experiment", followed(HALF, ABTest()), rivals="no better")
    _outcomes(report, "aa_blue_green", followed(RUNS, BlueGreen()), rivals="equal")
    _outcomes(report, "aa_busy", followed(FEW, Canary(), BUSY), rivals="no better")
    failing = followed(FEW, Canary(), FAILING)  # more often than the plan allows a challenger
    report.add(Figure("aa_failing_blamed", _percent([each.is_blamed for each in failing]), "%"))
    at_margin = followed(HALF, Canary(goal="harmless"), harm=Harm(worse=0.01))
    promoted = _percent([each.kind == "promote" for each in at_margin])
    report.add(Figure("worse_by_margin_promoted", promoted, "%", 5.0))


def injected(report: Report) -> None:
    """How many requests a broken challenger is asked before it is rolled back."""
    for name, harm in {**INJECTED, **BARELY}.items():
        traffic = FAILING if harm.error_rate else BUSY
        found = followed(FEW if name in BARELY else FEWER, Canary(), traffic, harm)
        asked = [each.canary if each.is_blamed else np.inf for each in found]
        goal = None if name in BARELY else 100.0
        in_time = _percent([each <= WITHIN for each in asked])
        report.add(Figure(f"{name}_in_2000", in_time, "%", goal, "at least"))
        for word, level in (("p50", 0.5), ("p95", 0.95), ("max", 1.0)):
            value = float(np.quantile(asked, level, method="higher"))
            if np.isfinite(value):  # else it was not found out in as many runs
                report.add(Figure(f"{name}_{word}", value, "requests"))


def better(report: Report) -> None:
    """How often and how soon a challenger that is better is promoted."""
    for nats in (0.01, 0.02, 0.04):
        found = followed(FEWER, Canary(), harm=Harm(worse=-nats))
        won = [each for each in found if each.kind == "promote"]
        report.add(Figure(f"better_by_{nats:g}_promoted", 100 * len(won) / len(found), "%"))
        if won:
            days = float(np.median([each.days for each in won]))
            report.add(Figure(f"better_by_{nats:g}_days", days, "days"))
    found = followed(FEWER, ABTest(), harm=Harm(lift=0.1))
    report.add(Figure("lift_promoted", _percent([each.kind == "promote" for each in found]), "%"))


def silence(report: Report) -> None:
    """Looks at rollouts that nobody asks which decided anything but to hold."""
    plans = (Canary(), Shadow(), ChampionChallenger(), ABTest(), Bandit())
    moved = sum(kind != "hold" for plan in plans for kind in silent(plan))
    report.add(Figure("silence_not_held", moved, "looks", 0))


def repeated(report: Report) -> None:
    """Experiments on keys that ask again and again, each with outcomes of its own."""
    for keys in (200, 2_000):
        found = followed(FEWER, ABTest(), Traffic(keys=keys))
        promoted = _percent([each.kind == "promote" for each in found])
        report.add(Figure(f"aa_{keys}_keys_promoted", promoted, "%", 5.0))
        report.add(Figure(f"aa_{keys}_keys_blamed", _percent([each.is_blamed for each in found]), "%", 1.0))


def bandits(report: Report) -> None:
    """Regret over that of a sampler that draws and learns for every request, on the same replays."""
    for means in BANDITS:
        given = [replay(seed, REPLAYED, means) for seed in range(REPLAYS)]
        free = mean(each.regret(asked) for each, asked in zip(given, reference(given, 0), strict=True))
        name = f"bandit_{means[0]:g}_{means[1]:g}"
        report.add(Figure(f"{name}_free_regret", free, "missed"))
        for floor in (0.01, 0.05):
            samplers = zip(given, reference(given, 0, floor), strict=True)
            bound = mean(each.regret(asked) for each, asked in samplers)
            plan = Bandit(floor=floor)
            own = mean(each.regret(ours(each, plan, DEALT_EVERY)) for each in given)
            report.add(Figure(f"{name}_floor_{floor:g}_regret", own, "missed"))
            report.add(Figure(f"{name}_floor_{floor:g}", own / bound, "x", 1.05))


def splits(report: Report) -> None:
    """A million ids: in proportion, and alike in two processes."""
    for share in SHARES:
        versions = dealt(share)
        report.add(Figure(f"split_{share:g}_chi_squared", chi_squared(share, versions), "", 10.83))
        if share == SHARES[1]:
            differing = float(digest(versions) != elsewhere(share))
            report.add(Figure("split_differs_elsewhere", differing, "process", 0))
    report.add(Figure("choose_a_key", cost_ns(SHARES[1]), "ns"))


@contextmanager
def killing(kills: int = KILLS, seed: int = 1) -> Iterator[Callable[[], dict[str, object]]]:
    """Kills that go on beside what is measured meanwhile; call what it gives for what they found."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = two_versions(Path(scratch) / "pump")
        command = [sys.executable, "-m", "benchmarks.parts.kills", str(folder), str(kills), str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:

            def found() -> dict[str, object]:
                said, _ = process.communicate()
                answer: dict[str, object] = json.loads(said)
                return answer

            try:
                yield found
            finally:
                process.terminate()


def two_versions(folder: Path) -> Path:
    """The tests' sample project with a champion and a second version."""
    ring = Ring(open_station(lay(folder)))
    ring.ingest(LIVE - HOUR)
    ring.first_model()
    station = open_station(folder)
    judge_and_register(station, train(station, parameters={"seed": 8}))
    return folder


def killed(report: Report, found: dict[str, object]) -> None:
    """What a thousand killed rollouts left."""
    wrong = found.pop("wrong")
    assert isinstance(wrong, list)
    left = found.pop("left")
    assert isinstance(left, dict)
    for what in wrong:
        print(f"kills_wrong: {what}", flush=True)
    report.add(Figure("kills", float(str(found["kills"])), "kills", KILLS, "at least"))
    for state, count in left.items():
        report.add(Figure(f"kills_left_{state.replace(' ', '_')}", count, "rollouts"))
    report.add(Figure("kills_completed", float(str(found["completed"])), "times"))
    report.add(Figure("kills_reads", float(str(found["reads"])), "reads"))
    report.add(Figure("kills_wrong", len(wrong), "findings", 0))


# Of rollouts without a gateway; those with one are in rollout_live.py.
PARTS: tuple[Part, ...] = (silence, splits, injected, equal, better, repeated, bandits)


def main() -> int:
    """Measure, print, write; 0 only if every goal holds."""
    report = Report("rollout", distributions=("numpy",))
    with killing() as kills:
        for part in PARTS:
            part(report)
        killed(report, kills())
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
