"""The API keys of a project's gateway: made and revoked with an audit record, and never shown again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.clock import to_micros
from esteira.serving.access.keys import KeyStore, new_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from esteira.project.station import Station
    from esteira.serving.access.keys import ApiKey, Secret


def add_key(
    station: Station,
    name: str,
    roles: Sequence[str],
    *,
    models: Sequence[str] = (),
    lifetime: timedelta | None,
    reason: str = "",
) -> tuple[ApiKey, Secret]:
    """Make a key and let it in; None lives until it is revoked. Its text is in what this returns only.

    Raises: BadInput (a name that is taken, what `new_key` refuses), UnknownName, StorageUnwritable.
    """
    store, now = key_store(station), station.clock.now()
    ends = None if lifetime is None else to_micros(now + lifetime)
    key, secret = new_key(name, roles, models, created=to_micros(now), expires=ends)
    store.refuse_taken(name)
    facts = {"id": key.id, "roles": key.roles, "models": key.models, "expires": key.expires}
    station.audit.record("key.create", f"key/{name}", reason=reason, facts=facts)
    store.add(key, secret)
    return key, secret


def revoke_key(station: Station, name: str, reason: str = "") -> ApiKey:
    """Shut a key out; every gateway on the project refuses it within a moment. Raises: NotFound."""
    store = key_store(station)
    key = store.get(name)
    station.audit.record("key.revoke", f"key/{name}", reason=reason, facts={"id": key.id})
    store.revoke(key.id, station.clock.micros())
    return key


def standing(key: ApiKey, now: int) -> str:
    """In one word, at UTC microsecond `now`.

    >>> standing(new_key("shop", ["predict"], created=0, expires=5)[0], now=5)
    'expired'
    """
    if key.revoked is not None:
        return "revoked"
    return "valid" if key.is_valid(now) else "expired"


def key_store(station: Station) -> KeyStore:
    """Where the project's keys are. Raises: StorageUnwritable, CorruptArtifact."""
    return KeyStore(station.settings.store("state"))
