"""Refusals of a tracking server in our words. The real ones are in test_mlflow.py."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from esteira.base.errors import (
    BadInput,
    CorruptArtifact,
    EsteiraError,
    NotFound,
    ServiceUnreachable,
    StorageUnwritable,
)
from esteira.registry.backends.refusals import BackendRefused, address_of, reach, translate

HOME = Path("home")
SERVER = "http://ana:secret@tracking.example:5000"
LOCAL = "sqlite:////srv/mlflow.db"
MISSING = NotFound("version", "9")


class Refusal(Exception):
    """As MLflow's own: a message and a code."""

    def __init__(self, message: str, error_code: str | None = None) -> None:
        super().__init__(message)
        self.error_code = error_code


@pytest.mark.parametrize(
    ("refused", "uri", "kind"),
    [
        (Refusal("not there", "RESOURCE_DOES_NOT_EXIST"), LOCAL, NotFound),
        (Refusal("bad name", "INVALID_PARAMETER_VALUE"), LOCAL, BadInput),
        (Refusal("it burns\nTraceback", "INTERNAL_ERROR"), SERVER, BackendRefused),
        (
            Refusal(f"API request to {SERVER} failed with exception x", "INTERNAL_ERROR"),
            SERVER,
            ServiceUnreachable,
        ),
        (Refusal("API request failed with timeout exception", "INTERNAL_ERROR"), SERVER, ServiceUnreachable),
        (ConnectionResetError(104, "reset"), SERVER, ServiceUnreachable),
        (OSError(28, "No space left on device"), LOCAL, StorageUnwritable),
        (Refusal("(sqlite3.OperationalError) database or disk is full", "X"), LOCAL, StorageUnwritable),
        (Refusal("attempt to write a readonly database", "X"), LOCAL, StorageUnwritable),
        (Refusal("file is not a database"), LOCAL, CorruptArtifact),
        (Refusal("out-of-date; run 'mlflow db upgrade <uri>'", "INTERNAL_ERROR"), LOCAL, BadInput),
    ],
)
def test_each_refusal_has_its_word(refused: Exception, uri: str, kind: type[EsteiraError]) -> None:
    translated = translate(refused, uri, HOME, MISSING)
    assert type(translated) is kind
    assert "secret" not in str(translated)
    assert "Traceback" not in str(translated)


def test_what_is_missing_without_a_meaning_is_a_refusal() -> None:
    refused = Refusal("gone", "RESOURCE_DOES_NOT_EXIST")
    assert isinstance(translate(refused, SERVER, HOME, None), BackendRefused)


def test_a_defect_is_not_hidden_behind_our_words() -> None:
    assert translate(TypeError("our mistake"), LOCAL, HOME, None) is None


def test_an_empty_message_is_told_by_its_kind() -> None:
    assert "Refusal" in str(translate(Refusal("", "INTERNAL_ERROR"), SERVER, HOME, None))


def test_a_password_is_no_part_of_an_address() -> None:
    assert address_of(SERVER) == "http://tracking.example:5000"
    assert address_of(LOCAL) == LOCAL


def test_a_listening_server_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        reach(f"http://127.0.0.1:{port}")
    with pytest.raises(ServiceUnreachable, match="refused"):
        reach(f"http://127.0.0.1:{port}")


def test_what_stands_behind_a_proxy_or_is_no_server_is_not_knocked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    reach("http://127.0.0.1:1")
    reach(LOCAL)
    reach("databricks")
