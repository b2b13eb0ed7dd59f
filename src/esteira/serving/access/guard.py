"""The guard before every handler: who asks, and may they?"""

from __future__ import annotations

import logging
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol

from esteira.base.errors import BadInput, NotFound, UnknownName
from esteira.serving.access.keys import LENGTH, digest_of
from esteira.serving.access.roles import ADMIN, ANYBODY, DEFAULT_MODEL, EVERY_MODEL, NOBODY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esteira.base.settings import GatewaySettings
    from esteira.serving.access.roles import Caller

log = logging.getLogger(__name__)

OPEN, KEYS = "open", "keys"
MODES = (OPEN, KEYS)  # open: only admin routes need a key
KEY_HEADER = "x-api-key"


class Headers(Protocol):
    """The headers of a request, or the metadata of a call; names are in lower case."""

    def get(self, name: str, /) -> str | None: ...


class Callers(Protocol):
    """Who is known now, by the digest of the key."""

    @property
    def callers(self) -> Mapping[bytes, Caller]: ...


class NotAuthenticated(BadInput):
    """A request without a key that is valid. It does not say which keys there were."""

    status = 401
    headers = (("www-authenticate", "Bearer"),)

    def __init__(self) -> None:
        super().__init__(
            "this needs an API key that is valid: send 'Authorization: Bearer KEY' or 'x-api-key: KEY'; "
            "keys are made with: esteira keys add NAME --role ROLE"
        )


class NotAllowed(BadInput):
    """A valid key that is not for this: the same answer whether or not the model exists."""

    status = 403
    headers: tuple[tuple[str, str], ...] = ()

    def __init__(self, need: str) -> None:
        super().__init__(
            f"this key is not for that: it takes the role {need!r}, and a key that is for this model; "
            "what keys are for: esteira keys list"
        )
        self.need = need


def access_mode(settings: GatewaySettings) -> str:
    """The mode that the settings name. Raises: UnknownName."""
    if settings.access not in MODES:
        raise UnknownName("gateway.access", settings.access, MODES)
    return settings.access


def warn_if_open(settings: GatewaySettings) -> None:
    """Say so when others than this machine reach a gateway that asks for no key. Raises: UnknownName."""
    if access_mode(settings) == OPEN and not is_loopback(settings.host):
        mend = 'set access = "keys" under [gateway] and make keys with: esteira keys add'
        facts = {"host": settings.host, "mend": mend}
        log.warning("anybody who reaches this gateway may ask it", extra=facts)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there.

    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("gateway.local")
    (True, True, False, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Says who asks, or refuses.

    `default` names the model of requests that name none: the one that their handler would ask.
    >>> from types import SimpleNamespace
    >>> Guard(SimpleNamespace(callers={}), "open").caller("predict", "late", {}) is ANYBODY
    True
    """

    def __init__(self, known: Callers, mode: str, default: Callable[[], str] = lambda: EVERY_MODEL) -> None:
        self._known, self._is_open, self._default = known, mode == OPEN, default
        # Who was found by the text of a key, among the callers of one look at the store.
        self._found: tuple[Mapping[bytes, Caller], dict[str, Caller]] = {}, {}

    def caller(self, need: str, model: str, headers: Headers) -> Caller:
        """Who asks for role `need` on a model, as its key says. Raises: NotAuthenticated, NotAllowed."""
        if need == NOBODY or (self._is_open and need != ADMIN):
            return ANYBODY
        found = self._caller_of(_key_in(headers))
        if need not in found.roles:
            raise NotAllowed(need)
        if found.models and not found.may_ask(self._default_model() if model == DEFAULT_MODEL else model):
            raise NotAllowed(need)
        return found

    def _caller_of(self, text: str) -> Caller:
        callers, known = self._known.callers, self._found
        if known[0] is not callers:  # a key came, went or expired: nothing that was found before counts
            known = self._found = callers, {}
        found = known[1].get(text)
        if found is None:
            # Of a key that is not known the digest is looked up: how long that takes says nothing of what its
            # characters should be. Known ones are found by a hash that is secret and differs in each process.
            found = callers.get(digest_of(text)) if len(text) == LENGTH else None
            if found is None:
                raise NotAuthenticated
            known[1][text] = found
        return found

    def _default_model(self) -> str:
        try:
            return self._default()
        except NotFound:  # it names the models that there are
            return EVERY_MODEL


def told_to(caller: Caller, raised: Exception) -> Exception:
    """An error as a caller may hear it: who is bound to some models is not told the names of others.

    >>> from esteira.serving.access.roles import Caller
    >>> str(told_to(Caller("shop", models=("a*",)), NotFound("model", "ax", "served: a, secret")))
    "model 'ax' does not exist"
    """
    if caller.is_bounded and isinstance(raised, NotFound):
        return NotFound(raised.kind, raised.name)
    return raised


def _key_in(headers: Headers) -> str:
    authorization = headers.get("authorization")
    if authorization is not None and authorization[:7].lower() == "bearer ":
        return authorization[7:].strip()
    return headers.get(KEY_HEADER) or ""
