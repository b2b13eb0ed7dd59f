"""Redis as an online store: a real server that is there, away, silent, emptied or full."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import redis
from tests.contracts.online_store import PLAIN, batch
from tests.contracts.shared_online_store import NUMBERS, SharedOnlineStoreContract, counted
from tests.features.redis_server import RedisServer

from esteira.base.errors import BadInput, ServiceUnreachable, StorageUnwritable, UnknownName
from esteira.features.online import OnlineReader
from esteira.features.stores import open_store
from esteira.features.stores.port import StoredRow, ViewChanged
from esteira.features.stores.redis import RedisStore
from esteira.features.views import FeatureView

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow  # a real server
ROW = StoredRow(1, 1, (1.0,))


class TestRedisStore(SharedOnlineStoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer) -> None:
        self.server = redis_server

    def url(self, folder: Path) -> str:
        return f"{self.server.address}?prefix={quote(str(folder))}"


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of this test alone, which may be killed."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.thaw()
    server.kill()


def test_a_server_that_is_down_at_the_opening_is_named_without_its_password(mortal: RedisServer) -> None:
    mortal.kill()
    url = f"redis://user:secret@127.0.0.1:{mortal.port}/0"
    with pytest.raises(ServiceUnreachable, match="start it or correct its URL") as refused:
        open_store(url)
    assert refused.value.address == mortal.address
    assert "secret" not in str(refused.value)
    mortal.start()
    open_store(mortal.address).close()


def test_a_server_that_dies_is_an_error_at_once_and_works_again_when_it_is_back(mortal: RedisServer) -> None:
    store = RedisStore(mortal.address)
    store.write(NUMBERS, counted(1, 3))
    assert store.read("numbers", ("0",)) == ROW
    mortal.kill()
    start = time.monotonic()
    for act in (lambda: store.read("numbers", ("0",)), store.views, lambda: store.write(NUMBERS, counted(1))):
        with pytest.raises(ServiceUnreachable, match=mortal.address):
            act()
    assert time.monotonic() - start < 5
    mortal.start()
    assert store.read("numbers", ("0",)) is None
    assert store.write(NUMBERS, counted(1, 3)) == 3
    assert store.read("numbers", ("0",)) == ROW
    store.close()


def test_a_server_that_is_silent_is_an_error_within_the_timeout(mortal: RedisServer) -> None:
    store = RedisStore(f"{mortal.address}?socket_timeout=0.2")
    store.write(NUMBERS, counted(1, 3))
    mortal.freeze()
    start = time.monotonic()
    with pytest.raises(ServiceUnreachable, match=r"[Tt]imeout"):
        store.read("numbers", ("0",))
    assert 0.2 <= time.monotonic() - start < 3
    mortal.thaw()
    assert store.read("numbers", ("0",)) == ROW
    store.close()


def test_a_server_that_came_back_with_another_view_of_the_name_gives_no_wrong_cell(
    mortal: RedisServer,
) -> None:
    old = FeatureView("v", (), ("f", "g"), "t")
    rows = batch(("JFK", 6, 5, None, 1.0, 2.0)).rename_columns(["k", "h", "event_ts", "c", "f", "g"])
    store = RedisStore(mortal.address)
    store.write(old, rows)
    reader = OnlineReader.of(store, [old])
    assert reader.read([{}], 9).values == [[1.0, 2.0]]
    mortal.kill()
    mortal.start()
    RedisStore(mortal.address).write(FeatureView("v", (), ("g", "f"), "t"), rows)
    with pytest.raises(ViewChanged, match=r"\(f, g\), found .* → \(g, f\)"):
        reader.read([{}], 9)
    again = RedisStore(mortal.address)
    assert OnlineReader.of(again, ["v"]).read([{}], 9).values == [[2.0, 1.0]]


def test_two_writers_that_settle_a_view_at_once_agree(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{redis_server.address}?prefix={quote(str(tmp_path))}"
    store, other = RedisStore(url), RedisStore(url)
    script = store._script

    def overtaken(keys: list[bytes], values: list[object]) -> object:
        monkeypatch.setattr(store, "_script", script)
        other.write(PLAIN, batch(("JFK", 6, 5, None, 1.0, 2.0)))
        return script(keys, values)

    monkeypatch.setattr(store, "_script", overtaken)
    changed = FeatureView("plain", ("origin", "hour"), ("temp",), "weather")
    with pytest.raises(ViewChanged):
        store.write(changed, batch(("JFK", 6, 9, None, 3.0, 4.0)))
    assert store.read("plain", ("JFK", "6")) == StoredRow(5, 5, (1.0, 2.0))


def test_prefixes_keep_projects_apart_and_a_socket_serves_too(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    one = open_store(f"unix://{redis_server.socket}?db=0&prefix={quote(str(tmp_path))}")
    other = open_store(f"{redis_server.address}?prefix={quote(str(tmp_path))}2")
    one.write(NUMBERS, counted(1, 3))
    assert other.read("numbers", ("0",)) is None
    assert open_store(f"{redis_server.address}?prefix={quote(str(tmp_path))}").read("numbers", ("0",)) == ROW


def test_the_password_comes_from_the_url_or_the_environment(
    mortal: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.Redis(port=mortal.port).config_set("requirepass", "s3cret")
    with pytest.raises(ServiceUnreachable, match="required"):
        RedisStore(mortal.address)
    with pytest.raises(ServiceUnreachable) as refused:
        RedisStore(f"redis://:wr0ng@127.0.0.1:{mortal.port}/0")
    assert "wr0ng" not in str(refused.value)
    RedisStore(f"redis://:s3cret@127.0.0.1:{mortal.port}/0").close()
    monkeypatch.setenv("REDIS_PASSWORD", "s3cret")
    RedisStore(mortal.address).close()


def test_a_connection_is_secret_where_the_url_says_so(tmp_path: Path) -> None:
    openssl = shutil.which("openssl") or pytest.skip("needs openssl")
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([openssl, *made], cwd=tmp_path, check=True, capture_output=True)
    server = RedisServer(tmp_path)
    port, server.port = server.port, 0
    files = ["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-ca-cert-file", "cert.pem"]
    server.start("--tls-port", str(port), "--tls-auth-clients", "no", *files)
    url = f"rediss://localhost:{port}/0"
    with pytest.raises(ServiceUnreachable, match=r"(?i)certificate"):
        RedisStore(url)
    store = RedisStore(f"{url}?ssl_ca_certs={quote(str(tmp_path / 'cert.pem'))}")
    assert store.write(NUMBERS, counted(1, 3)) == 3
    store.close()
    server.kill()


def test_a_server_that_is_full_refuses_the_write_whole(mortal: RedisServer) -> None:
    store = RedisStore(mortal.address)
    store.write(NUMBERS, counted(1, 3))
    redis.Redis(port=mortal.port).config_set("maxmemory", 1)
    with pytest.raises(StorageUnwritable, match="maxmemory"):
        store.write(NUMBERS, counted(2, 3))
    assert store.read("numbers", ("0",)) == ROW
    store.close()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("redis://127.0.0.1:port/0", BadInput),
        ("redis://127.0.0.1:1/db", BadInput),
        ("redis://127.0.0.1:1/0?socket_timeout=soon", BadInput),
        ("redis://127.0.0.1:1/0?prefiks=x", UnknownName),
    ],
)
def test_a_malformed_url_is_refused_before_any_connection(url: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="Redis URL"):
        open_store(url)
