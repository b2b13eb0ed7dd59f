from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from tests.project.worlds import esteira, flip, problems, refused

from esteira.governance.ledger import AuditLedger
from esteira.project.release import CHAMPION
from esteira.project.rollouts.rolling import resume
from esteira.project.station import open_station
from esteira.project.verifying import verify
from esteira.registry.promotions import Promotion, PromotionIntents
from esteira.serving.deployments import open_deployments

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from esteira.project.station import Station


def found(station: Station, what: str) -> tuple[str, ...]:
    """The problems of one kind; nothing else may be found broken."""
    findings = {each.what: each for each in verify(open_station(station.settings.root))}
    assert [name for name, each in findings.items() if each.problems] == [what]
    return findings[what].problems


def test_a_whole_station_has_no_problem_and_says_what_was_checked(station: Station) -> None:
    findings = verify(station)
    assert problems(findings) == []
    checked = {each.what: each.checked for each in findings}
    assert checked["tables"] == 3  # two, and the quarantine of one
    assert checked["model versions"] == 1
    assert checked["artifacts"] > 6
    assert checked["training sets"] == 1
    assert checked["audit chain"] > 6


def test_a_station_where_nothing_has_happened_is_whole(fresh: Path) -> None:
    assert problems(verify(open_station(fresh))) == []


def test_a_flipped_byte_in_a_table_is_named(station: Station) -> None:
    path = next((station.settings.home / "tables" / "events").glob("*.parquet"))
    flip(path)
    (problem,) = found(station, "tables")
    assert path.name in problem
    assert "events@0" in problem


def test_a_flipped_byte_in_an_artifact_is_named(station: Station) -> None:
    digest = station.journal.steps(station.journal.runs()[0].id)[0].artifact
    assert digest is not None
    flip(next(station.artifacts.folder(digest.digest).iterdir()))
    (problem,) = found(station, "artifacts")
    assert digest.digest[:12] in problem


def test_a_flipped_byte_in_a_model_is_named_as_artifact_and_as_version(station: Station) -> None:
    flip(station.artifacts.folder(station.version(1).digest) / "model.txt")
    findings = {each.what: each.problems for each in verify(station) if each.problems}
    assert sorted(findings) == ["artifacts", "model versions"]
    assert findings["model versions"][0].startswith("version 1, ours: model.txt of model bundle")


def test_a_flipped_byte_in_the_registrys_copy_is_named(station: Station) -> None:
    flip(next((station.settings.home / "mlartifacts").rglob("model.txt")))
    (problem,) = found(station, "model versions")
    assert problem.startswith("version 1, the registry's: the bundle of pump version 1")


def test_a_changed_audit_record_is_named(station: Station) -> None:
    with closing(sqlite3.connect(station.settings.home / "audit.db")) as database, database:
        database.execute("DROP TRIGGER audit_keeps_records")
        database.execute("UPDATE audit SET reason = 'forged' WHERE seq = 3")
    (problem,) = found(station, "audit chain")
    assert problem.startswith("record 3: it was changed after it was written")


def test_an_alias_that_is_not_what_serves_is_named(two: Station) -> None:
    two.registry.set_alias("pump", CHAMPION, 2)
    (problem,) = found(two, "routes")
    assert problem.startswith("version 1 serves, the registry's champion is 2")


def test_a_promotion_that_a_gateway_was_asked_for_is_under_way_until_a_round_completes_it(
    two: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    root, state = str(two.settings.root), two.settings.store("state")
    audit = partial(AuditLedger, two.settings.store("audit"), two.clock)
    open_deployments(state, two.clock, lambda _: None, audit).deploy("pump", 2, "ana", "better")
    findings = {each.what: each for each in verify(open_station(two.settings.root))}
    assert problems(tuple(findings.values())) == []
    (said,) = findings["routes"].under_way
    assert said.startswith(
        "the promotion of version 2 to champion is under way; the next round of esteira up"
    )
    code, shown, _ = esteira("verify", "-C", root, capsys=capsys)
    assert (code, shown.count("whole")) == (0, 6)
    assert "under way" in " ".join(shown.split())
    resume(two)
    assert verify(two)[-1].under_way == ()
    two.registry.set_alias("pump", CHAMPION, 1)
    assert found(two, "routes")[0].startswith("version 2 serves, the registry's champion is 1")


def test_a_promotion_that_was_cut_off_before_the_routes_is_under_way(two: Station) -> None:
    intention = Promotion("pump", 2, CHAMPION, two.clock.now(), "asked of the gateway", 1)
    PromotionIntents(two.settings.store("state")).write(intention)
    for alias in (1, 2):  # the kill came before the alias was set, or just after
        two.registry.set_alias("pump", CHAMPION, alias)
        findings = verify(open_station(two.settings.root))
        assert (problems(findings), len(findings[-1].under_way)) == ([], 1)
    resume(two)
    assert two.routes.get("pump").champion.version == 2
    assert (problems(verify(two)), verify(two)[-1].under_way) == ([], ())


def test_a_bundle_that_serves_and_is_gone_is_named_with_the_mend(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(station.artifacts.folder(station.version(1).digest))
    (problem,) = found(station, "routes")
    assert problem == (
        "version 1 serves, but its bundle is not among the artifacts; bring it back with: esteira deploy 1"
    )
    assert esteira("deploy", "1", "-C", str(station.settings.root), capsys=capsys)[0] == 0
    assert problems(verify(station)) == []


def test_a_champion_without_routes_is_named(station: Station) -> None:
    station.settings.home.joinpath("state.db").unlink()
    (problem,) = found(station, "routes")
    assert problem.startswith("version None serves, the registry's champion is 1")


def test_a_manifest_that_was_changed_is_found(station: Station) -> None:
    (path,) = (station.settings.home / "datasets").iterdir()
    path.write_text(
        path.read_text(encoding="utf-8").replace('"rows": 1048', '"rows": 1049'), encoding="utf-8"
    )
    (problem,) = found(station, "training sets")
    assert "its columns make" in problem


def test_a_store_that_cannot_be_opened_does_not_end_the_search(station: Station) -> None:
    flip(next((station.settings.home / "tables" / "events").glob("*.parquet")))
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (station.settings.home / name).unlink(missing_ok=True)
    (station.settings.home / "state.db").write_bytes(b"no database" * 1_000)
    findings = {each.what: each.problems for each in verify(open_station(station.settings.root))}
    assert [name for name, each in findings.items() if each] == ["tables", "routes"]
    assert "state.db is corrupt" in findings["routes"][0]


def test_the_command_says_whole_or_names_what_is_not(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(station.settings.root)
    code, said, _ = esteira("verify", "-C", root, capsys=capsys)
    assert (code, said.count("whole")) == (0, 6)
    flip(station.artifacts.folder(station.version(1).digest) / "model.txt")
    code, said, _ = esteira("verify", "-C", root, "--json", capsys=capsys)
    assert code == 1
    assert '"whole": false' in said


def test_a_broken_project_file_is_bad_input_and_no_finding(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    (station.settings.root / "pumps.py").write_text("1 +\n", encoding="utf-8")
    assert "line 1: invalid syntax" in refused("verify", "-C", str(station.settings.root), capsys=capsys)
