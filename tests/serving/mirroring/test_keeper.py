from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.serving.mirroring.lines import chosen, routes
from tests.serving.telemetry.exchanges import wait_for
from tests.serving.worlds import project

from esteira.serving.live import failures
from esteira.serving.live.table import LiveModel
from esteira.serving.mirroring.keeper import Keeper
from esteira.serving.mirroring.mirror import Mirror
from esteira.serving.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

SHADOWED = {"late": LiveModel(routes(1.0), {})}
PLAIN = {"late": LiveModel(routes(), {})}


@contextmanager
def keeping(root: Path, hung_s: float = 60.0) -> Iterator[Keeper]:
    """A keeper of real processes, of a project whose shadow has no bundle."""
    settings = project(root)
    keeper = Keeper(Mirror(Metrics()), [str(settings.root), str(os.getpid()), "60"], hung_s)
    try:
        yield keeper
    finally:
        keeper.close()


def until(keeper: Keeper, models: dict[str, LiveModel], holds: Callable[[], bool]) -> None:
    """Look after it as a worker does until something holds."""

    def look() -> bool:
        keeper.tick(models)
        keeper.mirror.beat()
        return holds()

    wait_for(look, 30.0)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_there_is_a_process_while_a_model_has_a_shadow(tmp_path: Path) -> None:
    with keeping(tmp_path) as keeper:
        keeper.tick(PLAIN)
        assert (keeper.pid, dict(keeper.mirror.plans)) == (None, {})
        until(keeper, SHADOWED, lambda: keeper.pid is not None)
        pid = keeper.pid
        assert pid is not None
        until(keeper, PLAIN, lambda: keeper.pid is None)
        assert is_gone(pid)
        until(keeper, SHADOWED, lambda: keeper.pid not in {None, pid})  # it ended well: at once


def test_a_process_that_died_is_started_again_after_a_pause_that_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "RETRY_S", 0.2)
    with keeping(tmp_path) as keeper:
        pauses = []
        for _ in range(3):
            until(keeper, SHADOWED, lambda: keeper.pid is not None)
            assert keeper.pid is not None
            os.kill(keeper.pid, signal.SIGKILL)
            began = time.monotonic()
            until(keeper, SHADOWED, lambda: keeper.pid is None)
            until(keeper, SHADOWED, lambda: keeper.pid is not None)
            pauses.append(time.monotonic() - began)
        assert [pause > least for pause, least in zip(pauses, (0.19, 0.39, 0.79), strict=True)] == [True] * 3


def test_a_process_that_says_nothing_of_what_it_was_asked_is_killed(tmp_path: Path) -> None:
    with keeping(tmp_path, hung_s=0.5) as keeper:
        until(keeper, SHADOWED, lambda: keeper.pid is not None)
        pid = keeper.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        keeper.mirror.take(chosen("f1"), "mlflow", {}, b"{}")
        until(keeper, SHADOWED, lambda: keeper.pid is None)
        keeper.mirror.beat()
        found = keeper.mirror._metrics.read()["esteira_shadow_requests_total"]
        assert found == {("late", "2", "lost"): [1.0]}


def test_a_process_that_has_nothing_to_say_is_left_alone(tmp_path: Path) -> None:
    with keeping(tmp_path, hung_s=0.05) as keeper:
        until(keeper, SHADOWED, lambda: keeper.pid is not None)
        pid, end = keeper.pid, time.monotonic() + 0.5
        until(keeper, SHADOWED, lambda: time.monotonic() > end)
        assert keeper.pid == pid


def test_closing_ends_the_process_even_one_that_hangs(tmp_path: Path) -> None:
    for name in (signal.SIGCONT, signal.SIGSTOP):
        with keeping(tmp_path) as keeper:
            until(keeper, SHADOWED, lambda keeper=keeper: keeper.pid is not None)
            pid = keeper.pid
            assert pid is not None
            os.kill(pid, name)
        assert is_gone(pid)
        assert keeper.pid is None
