from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import active, shares

from esteira.base.errors import BadInput
from esteira.project.release import CHAMPION, deploy
from esteira.project.rollouts import rolling
from esteira.project.rollouts.rolling import start_rollout, widen
from esteira.serving.rollout.strategies import Canary

if TYPE_CHECKING:
    from esteira.project.station import Station


def test_of_two_who_widen_on_the_same_evidence_one_widens(two: Station) -> None:
    plan = Canary((0.1, 0.2, 1.0), bake=timedelta(hours=1))
    start_rollout(two, 2, "by hand", plan)
    seen = active(two)
    assert [widen(two, seen, "no harm").step, widen(two, seen, "no harm").step] == [1, 1]
    assert [widen(two, seen, "no harm", to_step=2).step, active(two).step] == [1, 1]
    assert shares(two) == {1: 0.8, 2: 0.2}


def test_a_version_deployed_while_another_was_checked_is_the_champion_of_the_rollout(
    two: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    admitted = rolling.admit

    def slow(station: Station, number: int) -> object:
        found = admitted(station, number)
        monkeypatch.setattr(rolling, "admit", admitted)
        deploy(station, 2, "somebody else, meanwhile")
        return found

    monkeypatch.setattr(rolling, "admit", slow)
    with pytest.raises(BadInput, match="is the champion already"):
        start_rollout(two, 2, "by hand")
    serving = two.registry.alias("pump", CHAMPION)
    assert serving is not None
    assert (serving.version, shares(two), two.rollouts.history("pump")) == (2, {2: 1.0}, [])
