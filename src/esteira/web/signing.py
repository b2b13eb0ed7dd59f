"""Who may press buttons: who signed in with a key that has the role admin, or who sits at this machine."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from esteira.project.keys import key_store
from esteira.serving.access.guard import KEYS, NotAllowed, NotAuthenticated
from esteira.serving.access.keys import LENGTH, digest_of
from esteira.serving.access.roles import ADMIN, Caller

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from esteira.project.station import Station
    from esteira.serving.access.keys import ApiKey, KeyStore

COOKIE = "esteira_session"
LIFE_S = 3_600.0  # of a session, however busy it is
AT_THIS_MACHINE = "page"  # the actor of who needs no key
SIGN_IN = "Sign in with an API key that has the role admin."
ELSEWHERE = (
    "This project has no API keys, so buttons work only on its own machine. "
    "Make a key there with: esteira keys add NAME --role admin"
)
_MOST = 1_000  # sessions at once; the oldest ends when there is one more
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks for a page, and what for."""

    actor: str  # of what they do, as the audit ledger names it; empty: they may do nothing
    token: str = ""  # that their forms carry
    why_not: str = ""  # they may do nothing
    needs_key: bool = False  # whether signing in would help
    key: str = ""  # the name of the key that they signed in with

    @property
    def may_act(self) -> bool:
        return bool(self.actor)


@dataclass(frozen=True, slots=True)
class _Session:
    digest: bytes  # of the key, not the key
    token: str
    until: float


class Doorkeeper:
    """The sessions of one site, in memory: a restart ends them, and so does the end of their key."""

    def __init__(self, station: Station, clock: Callable[[], float] = time.monotonic) -> None:
        self._station, self._clock = station, clock
        self._sessions: dict[bytes, _Session] = {}
        self._changing = threading.Lock()
        self._token = secrets.token_urlsafe(32)  # of those who need no key

    def visitor(self, request: Request) -> Visitor:
        """Who asks, by the cookie; without keys, by where they are. Raises: StorageUnwritable."""
        if not self._needs_keys():
            if is_at_this_machine(request):
                return Visitor(AT_THIS_MACHINE, self._token)
            return Visitor("", why_not=ELSEWHERE)
        session = self._session(request.cookies.get(COOKIE, ""))
        key = None if session is None else self._key(session.digest)
        if session is None or key is None or self._refusal(key) is not None:
            return Visitor("", why_not=SIGN_IN, needs_key=True)
        return Visitor(f"key:{key.name}", session.token, key=key.name)

    def sign_in(self, text: str) -> str:
        """Begin a session; gives the secret of its cookie. Raises: NotAuthenticated, NotAllowed."""
        digest = digest_of(text)
        key = self._key(digest) if len(text) == LENGTH else None
        if key is None:
            raise NotAuthenticated
        refused = self._refusal(key)
        if refused is not None:
            raise refused
        secret = secrets.token_urlsafe(32)
        with self._changing:
            now = self._clock()
            living = {each: session for each, session in self._sessions.items() if now < session.until}
            for oldest in [*living][: max(len(living) - _MOST + 1, 0)]:
                del living[oldest]
            self._sessions = living | {
                _name(secret): _Session(digest, secrets.token_urlsafe(32), now + LIFE_S)
            }
        return secret

    def sign_out(self, request: Request) -> None:
        """End a session."""
        with self._changing:
            self._sessions.pop(_name(request.cookies.get(COOKIE, "")), None)

    @cached_property
    def _keys(self) -> KeyStore:
        return key_store(self._station)

    def _needs_keys(self) -> bool:
        """Whether keys are asked for: also where the last one was revoked."""
        return self._station.settings.gateway.access == KEYS or bool(self._keys.all())

    def _session(self, secret: str) -> _Session | None:
        with self._changing:
            found = self._sessions.get(_name(secret))
        return found if found is not None and self._clock() < found.until else None

    def _key(self, digest: bytes) -> ApiKey | None:
        key = self._keys.by_digest().get(digest)
        return key if key is not None and key.is_valid(self._station.clock.micros()) else None

    def _refusal(self, key: ApiKey) -> NotAllowed | None:
        caller = Caller(key.name, frozenset(key.roles), key.models)
        may = ADMIN in caller.roles and caller.may_ask(self._station.project.name)
        return None if may else NotAllowed(ADMIN)


def _name(secret: str) -> bytes:
    """What a session is known by: looking it up tells nothing of the secrets that there are."""
    return sha256(secret.encode("utf-8", "replace")).digest()


def is_same_token(visitor: Visitor, text: str) -> bool:
    """Whether a form was given out to this visitor."""
    return visitor.may_act and hmac.compare_digest(visitor.token.encode(), text.encode())


def is_from_here(request: Request) -> bool:
    """Whether a browser says that a form was sent by a page of this very site; silence counts as no."""
    headers: Mapping[str, str] = request.headers
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None and origin is None:
        return False
    if site is not None and site != "same-origin":
        return False
    # Behind a proxy that speaks TLS the schemes differ, so hosts are compared.
    return origin is None or urlsplit(origin).netloc == headers.get("host", "")


def is_at_this_machine(request: Request) -> bool:
    """Whether a browser on this machine asked, by a name that is this machine's own.

    A page elsewhere whose name was made to lead here asks by that name; a proxy says that it is one.
    """
    client = request.client
    if client is None or any(name in request.headers for name in _FORWARDED):
        return False
    return _is_loopback(client.host) and _is_loopback(_host_of(request))


def _host_of(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
