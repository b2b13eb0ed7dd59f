"""The URLs of brokers: a place and a name, options after `?`, and never a credential."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from esteira.base.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, slots=True)
class Address:
    """Where a stream is."""

    hosts: str  # host:port, several with commas
    name: str  # of the stream or topic
    options: Mapping[str, str]
    shown: str  # the URL without its options


def parse_address(url: str, port: int, known: Collection[str]) -> Address:
    """The parts of `SCHEME://HOST[:PORT][,HOST…]/NAME?OPTION=…`.

    Raises: BadInput (malformed, or with credentials), UnknownName (an option).
    >>> parse_address("nats://broker/ORDERS?subject=orders.new", 4222, ["subject"]).hosts
    'broker:4222'
    """
    try:
        parts = urlsplit(url)
    except ValueError as wrong:  # e.g. half of an IPv6 address; it may hold credentials, so it is not shown
        scheme = url.partition(":")[0]
        raise BadInput(f"no {scheme}: URL can be read ({wrong}); write {scheme}://HOST:{port}/NAME") from None
    scheme, name = parts.scheme, unquote(parts.path.strip("/"))
    if "@" in parts.netloc:
        mend = f"put them into {scheme.upper()}_USERNAME and {scheme.upper()}_PASSWORD"
        raise BadInput(f"a {scheme}: URL must not hold credentials, which would show in logs; {mend}")
    if not parts.netloc or not name or "/" in name:
        raise BadInput(f"{url!r} is no stream; write {scheme}://HOST:{port}/NAME")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for option in options:
        if option not in known:
            raise UnknownName(f"option of a {scheme}: URL", option, known)
    hosts = ",".join(_host(host, port, url) for host in parts.netloc.split(","))
    return Address(hosts, name, options, f"{scheme}://{hosts}/{name}")


def _host(text: str, port: int, url: str) -> str:
    name, colon, given = text.rpartition(":")
    if not colon or text.endswith("]"):
        name, given = text, str(port)
    if not name or not given.isdecimal() or not 0 < int(given) < 65536:
        raise BadInput(f"{url!r} names no host and port; write HOST:{port}")
    return f"{name}:{given}"


def credential(name: str) -> str:
    """A credential of the environment, empty when there is none."""
    return os.environ.get(name, "")
