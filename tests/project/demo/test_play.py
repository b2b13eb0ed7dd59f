from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import BadInput
from esteira.project.demo.play import GO_LIVE, MARK, Demo, Told, prepare
from esteira.serving.routes import Arm, Routes, RouteStore

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.project.story import StoryEvent

FILES = [".esteira", "esteira.toml", "flights.py", "sources.py"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def silent() -> Told:
    return Told(lambda event: None, lambda what, at, done: None)


# the folder


def test_a_new_folder_is_laid_out_and_marked(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "new" / "demo")
    assert names(folder) == FILES
    assert (folder / MARK).is_file()


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    assert names(prepare(tmp_path)) == FILES


def test_a_folder_of_an_earlier_demo_is_emptied(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "flights.py").write_text("changed", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / ".esteira" / "tables").mkdir()
    (tmp_path / ".esteira" / "tables" / "x").write_text("x", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path.parent)
    prepare(tmp_path)
    assert names(tmp_path) == FILES
    assert names(tmp_path / ".esteira") == ["demo"]
    assert "changed" not in (tmp_path / "flights.py").read_text(encoding="utf-8")
    assert tmp_path.parent.is_dir()


def test_what_no_demo_made_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(BadInput, match="holds something that no demo made; give another one with --folder"):
        prepare(tmp_path)
    assert names(tmp_path) == ["thesis.tex"]


def test_a_state_store_elsewhere_that_holds_something_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESTEIRA_STORES_STATE", f"sqlite:{tmp_path}/production.db")
    production = RouteStore(f"sqlite:{tmp_path}/production.db")
    Demo(tmp_path / "demo", silent())
    production.set(Routes("price", (Arm("champion", 1, "0" * 64, 1.0),)))
    with pytest.raises(BadInput, match="unset ESTEIRA_STORES_STATE"):
        Demo(tmp_path / "demo", silent())
    assert production.names() == ["price"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("a file", encoding="utf-8")
    with pytest.raises(BadInput, match="no demo made"):
        prepare(tmp_path / "demo")


@pytest.mark.parametrize("left", [[], [".esteira/.tmp-x"], [MARK], [MARK, "flights.py"], [MARK, ".tmp-y"]])
def test_what_a_killed_demo_leaves_of_its_beginning_is_taken_over(tmp_path: Path, left: list[str]) -> None:
    (tmp_path / ".esteira").mkdir()
    for name in left:
        (tmp_path / name).write_text("half", encoding="utf-8")
    prepare(tmp_path)
    assert names(tmp_path) == FILES
    assert "half" not in (tmp_path / "flights.py").read_text(encoding="utf-8")


def test_while_a_folder_is_emptied_it_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("esteira.project.demo.play._empty", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path)
    assert not (tmp_path / "esteira.toml").exists()
    assert (tmp_path / MARK).is_file()


# the play


def test_a_demo_that_ends_before_it_begins_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="must end after 2013-04-01, found 2013-03-01"):
        Demo(tmp_path / "demo", silent(), end=datetime(2013, 3, 1, tzinfo=UTC))
    assert not (tmp_path / "demo").exists()


@pytest.mark.slow
def test_a_day_of_flights_is_answered_watched_and_verified(tmp_path: Path) -> None:
    heard: list[StoryEvent] = []
    said: list[tuple[str, float]] = []
    told = Told(heard.append, lambda what, at, done: said.append((what, done)))
    end = GO_LIVE + timedelta(days=1)
    with Demo(tmp_path / "demo", told, end=end) as demo:
        played = demo.play()
    assert [event.kind for event in heard] == ["trained", "gates passed", "deployed"]
    assert [what for what, _ in said] == [
        "reading the flights of 2013",
        "training the first model",
        "replaying flights",
        "measuring",
    ]
    assert [done for _, done in said] == sorted(done for _, done in said)
    assert played.whole
    assert (played.failed, played.failures) == (0, ())
    rehearsal = demo.station.project.rehearsal
    assert rehearsal is not None
    asked = [at for at in rehearsal.questions()["asked_at"].to_pylist() if GO_LIVE <= at < end]
    assert played.report.predictions == len(asked) > 700  # not one is lost between gateway and table
    assert played.answered > len(asked)  # the labels too
    assert played.report.labelled > len(asked) / 2
    assert played.report.parity.differing == 0
    assert played.report.parity.cells > 5_000
    assert played.report.promoted == 0
    assert demo.station.clock.now() == end
    assert played.total_seconds > played.replay_seconds + played.ring_seconds
