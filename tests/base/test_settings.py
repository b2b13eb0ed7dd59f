from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, EsteiraError, NotFound, UnknownName
from esteira.base.settings import (
    FILE,
    GatewaySettings,
    Settings,
    StoreSettings,
    TelemetrySettings,
    load_settings,
)

if TYPE_CHECKING:
    from pathlib import Path


def _settings(folder: Path, text: str = "", **environment: str) -> Settings:
    (folder / FILE).write_text(text, encoding="utf-8")
    return load_settings(folder, environment)


def test_an_empty_file_gives_the_embedded_defaults(tmp_path: Path) -> None:
    assert _settings(tmp_path) == Settings(tmp_path.resolve())


def test_the_file_wins_over_the_default_and_the_environment_over_the_file(tmp_path: Path) -> None:
    text = "[gateway]\nport = 9000\nworkers = 2\n"
    settings = _settings(tmp_path, text, ESTEIRA_GATEWAY_PORT="9001", HOME="/nowhere")
    assert (settings.gateway.port, settings.gateway.workers) == (9001, 2)
    assert settings.gateway.host == GatewaySettings().host


def test_top_level_keys_are_read_from_file_and_environment(tmp_path: Path) -> None:
    settings = _settings(tmp_path, 'clock = "simulated:clock"', ESTEIRA_LOG_LEVEL="debug")
    assert settings.clock_url() == f"simulated:{tmp_path.resolve()}/clock"
    assert settings.log_level == "debug"


def test_without_an_environment_given_the_processes_own_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / FILE).touch()
    monkeypatch.setenv("ESTEIRA_PROJECT_NAME", "from-outside")
    assert load_settings(tmp_path).project.name == "from-outside"


@pytest.mark.parametrize("store", [each.name for each in fields(StoreSettings)])
def test_every_default_store_lies_in_the_project_folder(tmp_path: Path, store: str) -> None:
    settings = _settings(tmp_path)
    scheme, _, path = settings.store(store).partition(":")
    assert scheme
    assert not path or path.startswith(str(settings.home))


def test_an_absolute_store_stays_where_it_is(tmp_path: Path) -> None:
    settings = _settings(tmp_path, '[stores]\ntables = "delta:/srv/tables"\nonline = "memory:"')
    assert (settings.store("tables"), settings.store("online")) == ("delta:/srv/tables", "memory:")


def test_a_folder_without_a_file_says_how_to_make_a_project(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="esteira init NAME"):
        load_settings(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[gateway\nport=1", "is not valid TOML"),
        ("[gatway]\nport=1", "did you mean 'gateway'"),
        ("[gateway]\nprot=1", "did you mean 'port'"),
        ("gateway=1", r"write \[gateway\] on a line of its own"),
        ('[gateway]\nport="8080"', "gateway.port in .* must be int, found '8080'"),
        ("[gateway]\nport=true", "must be int, found True"),
        ("[project]\nname=7", "must be str, found 7"),
        ("[telemetry]\naccess_log=1", "telemetry.access_log in .* must be bool, found 1"),
        ("[telemetry]\ntraces=true", "telemetry.traces in .* must be float, found True"),
        ("log_level=3", "log_level in .* must be str, found 3"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place_and_the_mend(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        _settings(tmp_path, text)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="is not valid TOML"):
        load_settings(tmp_path, {})


def test_a_variable_nobody_knows_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"did you mean 'ESTEIRA_GATEWAY_PORT'\?"):
        _settings(tmp_path, "", ESTEIRA_GATEWAY_PROT="1")


def test_a_variable_that_must_be_a_number_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="ESTEIRA_GATEWAY_PORT must be a whole number, found 'http'"):
        _settings(tmp_path, "", ESTEIRA_GATEWAY_PORT="http")


def test_a_share_may_be_written_without_a_point_and_a_switch_as_a_word(tmp_path: Path) -> None:
    text = "[telemetry]\ntraces = 1\n"
    settings = _settings(tmp_path, text, ESTEIRA_TELEMETRY_ACCESS_LOG="true", ESTEIRA_TELEMETRY_PUSH_S="0.5")
    assert settings.telemetry == TelemetrySettings(access_log=True, traces=1.0, push_s=0.5)
    assert isinstance(settings.telemetry.traces, float)


@pytest.mark.parametrize(
    ("name", "message"),
    [("ACCESS_LOG", "true or false, found 'maybe'"), ("TRACES", "a number, found 'maybe'")],
)
def test_a_variable_that_is_no_switch_or_share_says_what_it_must_be(
    tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(BadInput, match=f"ESTEIRA_TELEMETRY_{name} must be {message}"):
        _settings(tmp_path, "", **{f"ESTEIRA_TELEMETRY_{name}": "maybe"})


@given(st.text(max_size=60))
def test_no_text_whatever_gets_another_error_than_ours(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("project")
    (folder / FILE).write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        answer = str(load_settings(folder, {}).root / FILE)
    except EsteiraError as refused:
        answer = str(refused)
    assert FILE in answer
