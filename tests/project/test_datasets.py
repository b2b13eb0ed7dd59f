from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.project.worlds import HOUR, LIVE

from esteira.base.errors import BadInput, NotFound, StorageUnwritable
from esteira.base.files import write_atomic
from esteira.features.contents import content_of
from esteira.features.manifest import Manifest, PinnedTable, WrongManifest
from esteira.project.datasets import TAG, check_manifests, find_manifest, keep_manifest, manifests
from esteira.project.release import train
from esteira.project.station import Station, open_station

if TYPE_CHECKING:
    from pathlib import Path


def stored(station: Station, manifest: Manifest) -> pa.Table:
    rows = station.artifacts.get(manifest.artifact)
    assert isinstance(rows, pa.Table)
    return rows


def test_a_run_leaves_a_manifest_of_its_training_set(station: Station) -> None:
    (found,) = manifests(station)
    assert content_of(stored(station, found)).digest == found.digest
    assert (found.project, found.step, found.content.rows) == ("pump", "train", 1048)
    assert found.tables == {"events": PinnedTable(0, 1897), "measurements": PinnedTable(0, 1279)}
    assert {name: view.source for name, view in found.views.items()} == {
        "climate": "measurements@0",
        "pump_day": "events@0",
    }
    assert {name: view.as_known for name, view in found.views.items()} == {"climate": True, "pump_day": False}
    assert found.views["climate"].definition == station.project.views[0].definition()
    assert found.parameters == {"until": "2020-01-20T23:00:00Z", "days": 14, "holdout_days": 3}
    assert {*found.keys} == {"spine", "questions", "train"}  # and not the model, which made none of it
    assert {"pumps.spine", "pumps.train"} <= {piece.removeprefix("esteira_project_") for piece in found.code}
    assert {"python", "pyarrow", "duckdb"} <= {*found.libraries}
    assert found.created_at == LIVE


def test_the_spine_is_what_the_features_were_joined_to(station: Station) -> None:
    (found,) = manifests(station)
    (run,) = station.journal.runs()
    spine = next(each.artifact for each in station.journal.steps(run.id) if each.step == "spine")
    assert spine is not None
    assert found.spine is not None
    assert found.spine.step == "spine"
    assert found.spine.content == content_of(station.artifacts.get(spine))


def test_a_version_of_the_model_names_what_it_was_fitted_on(station: Station) -> None:
    (found,) = manifests(station)
    assert station.version(1).tags[TAG] == found.digest


def test_a_training_set_is_found_by_all_that_a_person_has_at_hand(station: Station) -> None:
    (found,) = manifests(station)
    path = station.settings.home / "datasets" / f"{found.digest}.json"
    for ref in ("", found.digest, found.digest[:7], "1", found.run_id, str(path)):
        assert find_manifest(station, ref) == found


def test_a_version_from_before_there_were_manifests_is_found_by_its_run(station: Station) -> None:
    (found,) = manifests(station)
    version = station.version(1)
    station._versions[1] = replace(version, tags={})
    assert find_manifest(station, "1") == found


@pytest.mark.parametrize(
    "ref", ["feedbeef", "9", "20200101T000000-none", "nothing.json", "long" * 99, "\0", "."]
)
def test_a_ref_that_leads_nowhere_says_what_to_do(station: Station, ref: str) -> None:
    with pytest.raises(NotFound):
        find_manifest(station, ref)


def test_without_any_training_set_there_is_no_newest(fresh: Path) -> None:
    with pytest.raises(NotFound, match="make one with: esteira run"):
        find_manifest(open_station(fresh))


def test_a_name_that_several_have_is_refused(station: Station) -> None:
    (found,) = manifests(station)
    for number in range(17):  # of which two must begin alike
        content = content_of(pa.table({"n": [number]}))
        other = replace(found, digest=content.digest, content=content)
        write_atomic(station.settings.home / "datasets" / f"{other.digest}.json", other.to_json())
    first = [each.digest[0] for each in manifests(station)]
    doubled = next(letter for letter in first if first.count(letter) > 1 and letter.isalpha())
    with pytest.raises(BadInput, match="give more of the name"):
        find_manifest(station, doubled)


def test_the_same_training_set_has_one_manifest_and_another_has_its_own(station: Station) -> None:
    (first,) = manifests(station)
    again = train(station, LIVE - HOUR, parameters={"seed": 9})
    assert keep_manifest(station, again) == first
    assert find_manifest(station, again.run.id) == first
    train(station, LIVE - HOUR, parameters={"days": 13})
    assert [each.parameters["days"] for each in manifests(station)] == [14, 13]
    assert find_manifest(station).parameters["days"] == 13  # the newest, also while the clock stands still


def test_the_same_content_in_other_bytes_is_the_same_training_set(station: Station) -> None:
    (first,) = manifests(station)
    path = station.settings.home / "datasets" / f"{first.digest}.json"
    other = replace(first, artifact=replace(first.artifact, digest="another version of pyarrow wrote it"))
    write_atomic(path, other.to_json())
    assert keep_manifest(station, train(station, LIVE - HOUR)) == other
    assert manifests(station) == [other]


def test_a_damaged_manifest_is_named_passed_over_and_made_anew(station: Station) -> None:
    (found,) = manifests(station)
    path = station.settings.home / "datasets" / f"{found.digest}.json"
    assert check_manifests(station) == (1, [])
    plain = json.loads(path.read_text(encoding="utf-8"))
    plain["content"]["columns"][0]["digest"] = "0" * 64
    path.write_text(json.dumps(plain), encoding="utf-8")
    count, (problem,) = check_manifests(station)
    assert count == 1
    assert f"{path} is no manifest" in problem
    assert "delete it and run the pipeline again" in problem
    with pytest.raises(WrongManifest, match="its columns make"):
        find_manifest(station, str(path))
    assert manifests(station) == []
    train(station, LIVE - HOUR)
    assert [each.digest for each in manifests(station)] == [found.digest]


def test_a_home_that_cannot_be_written_is_said(station: Station) -> None:
    folder = station.settings.home / "datasets"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("in the way", encoding="utf-8")
    with pytest.raises(StorageUnwritable):
        train(station, LIVE - HOUR)
