from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.web.stations import lay_down

from esteira.base.clock import to_micros
from esteira.base.errors import BadInput, NotFound, StorageUnwritable, UnknownName
from esteira.governance.ledger import AuditLedger
from esteira.project.keys import add_key, key_store, revoke_key, standing
from esteira.project.station import Station, open_station
from esteira.serving.access.keys import digest_of

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return open_station(lay_down(tmp_path / "p"), actor="ana")


def records(station: Station) -> list[tuple[str, str, str, str, object]]:
    return [(e.actor, e.action, e.resource, e.reason, dict(e.facts)) for e in station.audit.events()]


def test_a_key_is_made_with_a_record_of_what_it_is_for(station: Station) -> None:
    key, secret = add_key(station, "shop", ["predict"], models=["late"], lifetime=DAY, reason="the shop asks")
    now = to_micros(station.clock.now())
    assert (key.created, key.expires) == (now, now + 86_400_000_000)
    assert key_store(station).by_digest() == {digest_of(secret.text): key}
    facts = {"id": key.id, "roles": ["predict"], "models": ["late"], "expires": key.expires}
    assert records(station) == [("ana", "key.create", "key/shop", "the shop asks", facts)]


def test_nothing_that_is_kept_or_shown_holds_the_key(station: Station) -> None:
    key, secret = add_key(station, "shop", ["predict"], lifetime=None)
    kept = b"".join(path.read_bytes() for path in station.settings.home.rglob("*") if path.is_file())
    for part in (secret.text, secret.text[12:], digest_of(secret.text).hex()):
        assert part.encode() not in kept
        assert part not in f"{key!r} {secret!r} {key_store(station).all()!r}"


def test_a_key_without_an_end_is_valid_until_it_is_revoked(station: Station) -> None:
    key, _ = add_key(station, "shop", ["admin"], lifetime=None)
    assert key.expires is None
    assert standing(key, 10**17) == "valid"
    assert revoke_key(station, "shop", "it leaked") == key
    (kept,) = key_store(station).all()
    assert standing(kept, kept.created) == "revoked"
    assert records(station)[1] == ("ana", "key.revoke", "key/shop", "it leaked", {"id": key.id})


def test_an_unknown_key_cannot_be_revoked_and_nothing_is_recorded(station: Station) -> None:
    with pytest.raises(NotFound, match="esteira keys list"):
        revoke_key(station, "shop")
    assert records(station) == []


@pytest.mark.parametrize(
    ("name", "roles", "lifetime", "error"),
    [
        ("taken", ["predict"], DAY, BadInput),
        ("a b", ["predict"], DAY, BadInput),
        ("shop", [], DAY, BadInput),
        ("shop", ["root"], DAY, UnknownName),
        ("shop", ["predict"], -DAY, BadInput),
    ],
)
def test_what_is_refused_is_not_recorded(
    station: Station, name: str, roles: list[str], lifetime: timedelta, error: type[BadInput]
) -> None:
    add_key(station, "taken", ["predict"], lifetime=None)
    with pytest.raises(error):
        add_key(station, name, roles, lifetime=lifetime)
    assert len(records(station)) == len(key_store(station).all()) == 1


def test_a_change_that_cannot_be_recorded_is_not_made(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_key(station, "shop", ["predict"], lifetime=None)

    def full(*_: object, **__: object) -> None:
        raise StorageUnwritable("audit.db", "disk full")

    monkeypatch.setattr(AuditLedger, "record", full)
    with pytest.raises(StorageUnwritable):
        add_key(station, "other", ["predict"], lifetime=None)
    with pytest.raises(StorageUnwritable):
        revoke_key(station, "shop")
    assert [(each.name, each.revoked) for each in key_store(station).all()] == [("shop", None)]
