"""A door: bad input is one line and exit code 2, and the port is said before anything serves."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import EsteiraError
from esteira.serving.address import PortInUse
from esteira.serving.door import listening, main

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.settings import Settings


def _project(folder: Path) -> list[str]:
    (folder / "esteira.toml").write_text('[project]\nname = "small"\n')
    return ["--root", str(folder), "--port", "0"]


def test_a_door_runs_with_the_settings_of_the_folder_and_the_given_port(tmp_path: Path) -> None:
    seen: list[tuple[str, int | None]] = []

    def run(settings: Settings, port: int | None) -> None:
        seen.append((settings.project.name, port))

    assert main("esteira.small", "", run, _project(tmp_path)) == 0
    assert seen == [("small", 0)]


def test_a_door_has_options_of_its_own_and_knows_no_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def run(settings: Settings, port: int | None, audit: str) -> None:
        seen.append(audit)

    options = {"audit": "where changes are recorded"}
    for words in ([], ["--audit", "a:b"]):
        assert main("esteira.small", "", run, [*_project(tmp_path), *words], options=options) == 0
    assert seen == ["", "a:b"]
    with pytest.raises(SystemExit):
        main("esteira.small", "", run, [*_project(tmp_path), "--audit", "a:b"])
    assert "unrecognized arguments: --audit" in capsys.readouterr().err


def test_a_folder_without_settings_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("esteira.small", "", lambda *_: None, ["--root", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "esteira.toml" in said
    assert said.count("\n") == 1


def test_what_fails_while_serving_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(settings: Settings, port: int | None) -> None:
        raise EsteiraError("no room left")

    assert main("esteira.small", "", run, _project(tmp_path)) == 1
    assert capsys.readouterr().err == "esteira: no room left\n"


def test_the_port_that_was_taken_is_said_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    with listening("127.0.0.1", 0) as (host, port):
        said = json.loads(capsys.readouterr().out)
        assert said["url"] == f"http://{host}:{port}"
        assert port > 0


def test_a_port_that_speaks_tls_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    with listening("127.0.0.1", 0, "https") as (host, port):
        assert json.loads(capsys.readouterr().out)["url"] == f"https://{host}:{port}"


def test_a_port_in_use_is_refused_before_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = listening("127.0.0.1", other.getsockname()[1])
        with pytest.raises(PortInUse):
            taken.__enter__()
    assert capsys.readouterr().out == ""
