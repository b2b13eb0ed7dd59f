"""The certificate of a gateway and its key, checked before anything starts."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.settings import Settings

_MEND = "give PEM files that belong together as tls_cert and tls_key under [gateway], or neither"


def tls_pair(settings: Settings) -> tuple[Path, Path] | None:
    """The files of certificate and key; None where the gateway speaks plain HTTP.

    Raises: BadInput (one without the other, a file that cannot be read, is no PEM or needs a pass phrase, a
    key of another certificate).
    """
    cert, key = settings.gateway.tls_cert, settings.gateway.tls_key
    if not cert and not key:
        return None
    if not cert or not key:
        missing = "tls_key" if cert else "tls_cert"
        raise BadInput(f"gateway.{missing} is missing; {_MEND}")
    pair = settings.root / cert, settings.root / key
    for path in pair:
        _refuse_unreadable(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*pair, password=_no_phrase)
    except (ssl.SSLError, OSError, ValueError) as wrong:
        said = getattr(wrong, "reason", None) or str(wrong)
        raise BadInput(f"{cert} and {key} cannot be used for TLS ({said}); {_MEND}") from wrong
    return pair


def _refuse_unreadable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as refused:
        raise BadInput(f"{path} cannot be read ({refused.strerror}); {_MEND}") from refused


def _no_phrase() -> str:
    """Asked for when a key is encrypted: nobody sits at the terminal of a gateway."""
    raise ValueError("the key is encrypted; decrypt it with: openssl pkey -in KEY -out PLAIN")
