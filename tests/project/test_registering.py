from __future__ import annotations

from typing import TYPE_CHECKING

from tests.project.worlds import killed

from esteira.project.registering import Papers, register_alone
from esteira.project.station import open_station
from esteira.registry.bundle import Model
from esteira.registry.columns import Column
from esteira.registry.signature import Signature

if TYPE_CHECKING:
    from pathlib import Path

MODEL = Model("lightgbm", Signature((Column("load"),), "failed"), {"model.txt": b"tree"})
PAPERS = Papers("made by hand", {"esteira.gates": "not judged"}, {"seed": 7}, {"roc_auc": 0.75})


def test_a_model_becomes_a_version_with_its_papers_and_may_be_deployed_by_number(fresh: Path) -> None:
    station = open_station(fresh, actor="ana")
    version = register_alone(station, "import", MODEL, PAPERS)
    assert (version.version, version.run_id) == (1, f"import-{version.digest[:16]}")
    assert version.created_at == station.clock.now()
    assert version.metrics == {"roc_auc": 0.75}
    assert version.tags["esteira.gates"] == "not judged"
    assert Model.load(station.artifacts.folder(version.digest)) == MODEL
    assert station.routes.known("pump") == {1: version.digest}
    (event,) = [each for each in station.audit.events() if each.action == "model.register"]
    assert (event.actor, event.reason, event.facts["digest"]) == ("ana", "made by hand", version.digest)


def test_the_same_bytes_are_the_same_version(fresh: Path) -> None:
    station = open_station(fresh)
    first = register_alone(station, "import", MODEL, PAPERS)
    again = register_alone(open_station(fresh), "convert", MODEL, PAPERS)
    assert (again.version, again.digest) == (first.version, first.digest)
    assert len(station.registry.versions("pump")) == 1
    assert len([each for each in station.audit.events() if each.action == "model.register"]) == 1


KILLED = """
import os, sys
from esteira.project.registering import Papers, register_alone
from esteira.project.station import open_station
from esteira.registry.bundle import Model
from esteira.registry.columns import Column
from esteira.registry.signature import Signature
station = open_station(sys.argv[1])
station.registry.register = lambda *words, **more: os.kill(os.getpid(), 9)
model = Model("lightgbm", Signature((Column("load"),), "failed"), {"model.txt": b"tree"})
register_alone(station, "import", model, Papers("made by hand", {"esteira.gates": "not judged"}))
"""


def test_an_act_that_was_killed_between_run_and_version_is_repeated_to_one_of_each(fresh: Path) -> None:
    assert killed(KILLED, str(fresh)) == -9
    station = open_station(fresh)
    assert station.registry.versions("pump") == []
    version = register_alone(station, "import", MODEL, PAPERS)
    assert [each.version for each in station.registry.versions("pump")] == [version.version]
