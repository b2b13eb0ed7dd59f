"""What a refusal of a tracking server or of its database means in our words."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from esteira.base.errors import (
    BadInput,
    CorruptArtifact,
    EsteiraError,
    NotFound,
    ServiceUnreachable,
    StorageUnwritable,
)

if TYPE_CHECKING:
    from pathlib import Path

CONNECT_SECONDS = 3.0
_SILENT = ("failed with exception", "failed with timeout", "too many 50", "Max retries exceeded")
_UNWRITABLE = ("readonly database", "disk is full", "disk I/O error", "unable to open database")
_BROKEN = ("file is not a database", "database disk image is malformed")
_CALLERS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE"}
_SAID = 300  # characters of a foreign message that are worth repeating


class BackendRefused(EsteiraError):
    """The tracking server answered, and the answer is no."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"the tracking server at {address} refused: {reason}; see its log")
        self.address, self.reason = address, reason


def address_of(uri: str) -> str:
    """A URI without the password that may stand in it.

    >>> address_of("https://ana:secret@tracking.example:5000/path")
    'https://tracking.example:5000/path'
    """
    user = urlsplit(uri).netloc.rpartition("@")[0]
    return uri.replace(f"{user}@", "", 1) if user else uri


def reach(uri: str) -> None:
    """Knock at a server, so that a dead one is known in moments and not after the client's retries.

    Raises: ServiceUnreachable. A server behind a proxy, or that is no web server, is not knocked at.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return
    if parts.scheme in getproxies() and not proxy_bypass(parts.hostname):
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), timeout=CONNECT_SECONDS).close()
    except OSError as refused:
        reason = refused.strerror or str(refused)
        raise ServiceUnreachable("the tracking server", address_of(uri), reason) from refused


def translate(refused: Exception, uri: str, home: Path, missing: NotFound | None) -> EsteiraError | None:
    """Our error for a refusal, or None when it is no refusal but a defect; `missing` is what is absent."""
    address = address_of(uri)
    lines = str(refused).replace(uri, address).strip().splitlines() or [type(refused).__name__]
    said = lines[0][:_SAID]
    if urlsplit(uri).scheme in ("http", "https") and _is_silence(refused):
        return ServiceUnreachable("the tracking server", address, said)
    if isinstance(refused, OSError):
        return StorageUnwritable(str(refused.filename or home), refused.strerror or said)
    if any(mark in str(refused) for mark in _UNWRITABLE):
        return StorageUnwritable(str(home), said)
    if any(mark in str(refused) for mark in _BROKEN):
        return CorruptArtifact(address, "a SQLite database", said)
    return _answer(refused, address, said, missing)


def _is_silence(refused: Exception) -> bool:
    return isinstance(refused, OSError) or any(mark in str(refused) for mark in _SILENT)


def _answer(refused: Exception, address: str, said: str, missing: NotFound | None) -> EsteiraError | None:
    code = getattr(refused, "error_code", None)
    if code == "RESOURCE_DOES_NOT_EXIST" and missing is not None:
        return missing
    if code in _CALLERS or "mlflow db upgrade" in str(refused):
        return BadInput(f"the tracking store refused: {said}")
    return BackendRefused(address, said) if code else None
