"""Each bad thing gets one clear line, the right exit code, no traceback, and nothing half-written."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import ROOT, copy_of, esteira, flip, problems, refused, rewrite

from esteira.base.errors import MissingExtra
from esteira.project.release import deploy
from esteira.project.station import Station, open_station
from esteira.project.verifying import verify
from esteira.serving.address import PortInUse
from esteira.serving.process import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERBS = ["run", "status", "verify", "up"]


def unwritten(folder: Path) -> bool:
    """Whether the command left no store behind."""
    home = folder / ".esteira"
    return {path.name for path in home.iterdir()} <= {"mlflow.db", "clock"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_malformed_settings_file_is_named_with_its_line(
    fresh: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (fresh / "esteira.toml").write_text("clock = \n[project\n", encoding="utf-8")
    said = refused(verb, "-C", str(fresh), capsys=capsys)
    assert "is not valid TOML" in said
    assert "line 1" in said
    assert unwritten(fresh)


@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_without_a_project_says_how_to_make_one(
    tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "esteira init NAME" in refused(verb, "-C", str(tmp_path), capsys=capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = = 1\n", "line 1: invalid syntax; correct that line"),
        ("\n\n1 / 0\n", "line 3: ZeroDivisionError: division by zero"),
        ("import no_such_library\n", "line 1: ModuleNotFoundError: No module named 'no_such_library'"),
        ("x = 1\n", "must define exactly one Project, found 0"),
    ],
)
@pytest.mark.parametrize("verb", VERBS)
def test_a_project_file_that_cannot_be_used_is_named_with_its_line(
    fresh: Path, verb: str, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (fresh / "pumps.py").write_text(text, encoding="utf-8")
    assert said in refused(verb, "-C", str(fresh), capsys=capsys)
    assert unwritten(fresh)


def test_two_projects_in_a_file_are_one_too_many(fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (fresh / "pumps.py").open("a", encoding="utf-8") as file:
        file.write('\nother = Project("other", steps=[train, holdout, model])\n')
    assert "exactly one Project, found 2" in refused("run", "-C", str(fresh), capsys=capsys)
    assert unwritten(fresh)


def test_an_unknown_step_is_named_with_its_neighbour(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(station.settings.root)
    said = refused("run", "--why", "questons", "-C", root, capsys=capsys)
    assert "unknown step 'questons'; did you mean 'questions'?" in said
    rewrite(station.settings.root, ('baseline="baseline"', 'baseline="basline"'))
    assert "did you mean 'baseline'?" in refused("run", "-C", root, capsys=capsys)


def test_a_parameter_that_no_step_takes_is_named(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [run.id for run in station.journal.runs()]
    said = refused("run", "--set", "dais=7", "-C", str(station.settings.root), capsys=capsys)
    assert "unknown parameter 'dais'; did you mean 'days'?" in said
    assert [run.id for run in station.journal.runs()] == before


def test_a_missing_extra_is_named_with_the_command(
    station: Station, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise MissingExtra("delta")

    monkeypatch.setattr("esteira.project.station.open_tables", missing)
    said = refused("run", "-C", str(station.settings.root), capsys=capsys)
    assert "pip install 'esteira-ml[delta]'" in said


def test_a_source_that_fails_is_named(fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(
        fresh,
        ("        at = everything()", '        raise OSError("the feed is down")\n        at = everything()'),
    )
    said = refused("run", "-C", str(fresh), capsys=capsys, code=1)
    assert "source 'events' could not be read: OSError: the feed is down" in said


def test_a_step_that_raises_is_named_with_its_line(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(
        station.settings.root,
        ("    recent = pc.and_(", '    raise ValueError("odd rows")\n    recent = pc.and_('),
    )
    said = refused("run", "-C", str(station.settings.root), capsys=capsys, code=1)
    assert "step 'spine' failed: ValueError: odd rows" in said
    assert "pumps.py" in said
    assert problems(verify(station)) == []


def test_a_table_whose_schema_changed_is_named_with_the_columns(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    before = station.tables.version("events")
    rewrite(
        station.settings.root,
        ('"load": load,', '"load": [str(each) for each in load],'),
        ('InRange("load", 0.5, 99.5), ', ""),
    )
    station.clock.advance(station.project.rehearsal.step * 5)
    said = refused("run", "-C", str(station.settings.root), capsys=capsys)
    assert "load" in said
    assert open_station(station.settings.root).tables.version("events") == before
    assert problems(verify(open_station(station.settings.root))) == []


def test_a_corrupt_table_file_is_named_and_trains_nothing(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next((station.settings.home / "tables" / "events").glob("*.parquet"))
    flip(path)
    said = refused("run", "--set", "days=9", "-C", str(station.settings.root), capsys=capsys, code=1)
    assert path.name in said
    assert "expected" in said
    assert [each.version for each in station.registry.versions("pump")] == [1]


def test_a_corrupt_artifact_is_not_used_but_made_again(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(station.settings.root)
    assert esteira("run", "-C", root, capsys=capsys)[0] == 0
    (questions,) = [s for s in station.journal.steps(station.journal.runs()[-1].id) if s.step == "questions"]
    assert questions.artifact is not None
    flip(next(station.artifacts.folder(questions.artifact.digest).iterdir()))
    code, said, _ = esteira("run", "-C", root, capsys=capsys)
    assert code == 0
    assert "its stored result is corrupt" in said
    assert problems(verify(station)) == []


def test_a_corrupt_champion_is_named_and_the_mend_works(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    root, folder = str(station.settings.root), station.artifacts.folder(station.version(1).digest)
    flip(folder / "model.txt")
    said = refused("run", "-C", root, capsys=capsys, code=1)
    assert "model.txt of model bundle" in said
    assert "delete it and run the pipeline again" in said
    shutil.rmtree(folder)
    assert esteira("run", "-C", root, capsys=capsys)[0] == 0
    assert problems(verify(station)) == []


def test_a_corrupt_bundle_is_not_deployed(two: Station, capsys: pytest.CaptureFixture[str]) -> None:
    flip(two.artifacts.folder(two.version(2).digest) / "model.txt")
    said = refused("deploy", "2", "-C", str(two.settings.root), capsys=capsys, code=1)
    assert "model.txt of model bundle" in said
    assert "restore it from a backup" in said
    routes = two.routes.get("pump")
    assert routes is not None
    assert routes.champion.version == 1


@pytest.mark.parametrize(
    "words", [("deploy", "9"), ("deploy", "9", "--canary"), ("reproduce", "9"), ("trace", "x"), ("rollback",)]
)
def test_what_does_not_exist_is_not_found(
    station: Station, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    before = station.audit.verify().records
    assert "does not exist" in refused(*words, "-C", str(station.settings.root), capsys=capsys)
    assert station.audit.verify().records == before


@pytest.mark.slow
def test_two_gateways_do_not_share_a_port(station: Station) -> None:
    root = station.settings.root
    with GatewayProcess(root) as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(PortInUse, match=f"port {port} on 127.0.0.1 is in use"):
            GatewayProcess(root, port=port).start()
        deploy(station, 1, "the first one still serves")


# disks that refuse


@contextmanager
def disk(place: Path, size: str) -> Iterator[Path]:
    """A small disk of its own, where this machine lets us have one."""
    place.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)],
            capture_output=True,
            check=False,
        ).returncode
    ):
        pytest.skip("this machine lets tests mount no disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def limited(*words: str, longest: int) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which may write no file longer than that, in bytes."""
    return subprocess.run(
        [sys.executable, "-m", "esteira", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (longest, longest)),
    )


@pytest.mark.slow
def test_a_disk_that_fills_up_is_named_and_more_room_is_all_it_needs(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with disk(tmp_path / "small", "64m") as place:
        root = copy_of(made, place / "pump").settings.root
        used = shutil.disk_usage(place).used // 1024
        remount(place, f"size={used + 60}k")
        said = refused("run", "--set", "days=12", "-C", str(root), capsys=capsys, code=1)
        assert "cannot write to" in said
        assert "free space or choose another folder" in said
        remount(place, "size=64m")
        assert problems(verify(open_station(root))) == []
        assert esteira("run", "--set", "days=12", "-C", str(root), capsys=capsys)[0] == 0
        assert problems(verify(open_station(root))) == []


@pytest.mark.slow
def test_a_disk_that_is_read_only_is_named(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with disk(tmp_path / "small", "64m") as place:
        copy_of(made, place / "pump")
        remount(place, "ro")
        for words in (("run",), ("deploy", "1"), ("up",)):
            refused(*words, "-C", str(place / "pump"), capsys=capsys, code=1)
        assert "cannot write to" in refused("init", "new", "-C", str(place), capsys=capsys, code=1)
        assert "cannot write to" in refused("demo", "-C", str(place / "demo"), capsys=capsys, code=1)


@pytest.mark.slow
def test_a_file_that_may_not_grow_is_named_and_nothing_is_half_written(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(station.settings.root)
    ended = limited("run", "--set", "days=11", "-C", root, longest=30_000)
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.startswith("esteira: cannot write to "), ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert problems(verify(open_station(root))) == []
    assert esteira("run", "--set", "days=11", "-C", root, capsys=capsys)[0] == 0
