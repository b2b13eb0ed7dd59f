"""The one error tree.

Every error that esteira raises on purpose descends from `EsteiraError`, is named for the fact, says the
mend in its message and keeps its data as attributes. Rooms define their own next to the code that raises
them; only those that several rooms raise stand here.

    EsteiraError
    ├── BadInput            what the caller gave cannot be used: exit code 2, HTTP 4xx
    │   ├── UnknownName     a name that is not there, with the nearest one that is
    │   ├── UnknownScheme   a URL whose scheme no implementation answers to
    │   ├── MissingExtra    a vendor that is not installed
    │   ├── NaiveTime       a time without zone
    │   └── NotFound        a resource that does not exist (HTTP 404)
    ├── CheckFailed         a check or a gate said no: exit code 1
    ├── CorruptArtifact     bytes that are not what their digest says
    ├── StorageUnwritable   a read-only or full disk
    └── ServiceUnreachable  a server that does not answer
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_SECRET = re.compile(r"(://[^/@:]*:).*@")  # of a URL


class EsteiraError(Exception):
    """Root of every error that esteira raises on purpose."""


class BadInput(EsteiraError):
    """What the caller gave cannot be used; the message says the mend."""


class UnknownName(BadInput):
    """A name that is not there; the message offers the nearest that is."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        near = get_close_matches(name, self.known, n=1, cutoff=0.5)
        mend = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self.known) or 'none'}"
        super().__init__(f"unknown {kind} {name!r}; {mend}")


class UnknownScheme(BadInput):
    """A URL whose scheme no implementation answers to."""

    def __init__(self, url: str, known: Iterable[str]) -> None:
        self.url, self.known = _SECRET.sub(r"\1***@", url), sorted(known)
        super().__init__(f"no implementation for {self.url!r}; use one of: {', '.join(self.known)}")


class MissingExtra(BadInput):
    """A vendor that is not installed; the message is the command that mends it."""

    def __init__(self, extra: str) -> None:
        super().__init__(f"needs an extra; run: pip install 'esteira-ml[{extra}]'")
        self.extra = extra


class NaiveTime(BadInput):
    """A time without zone, which could mean any of 24 moments."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} has no time zone; give UTC, e.g. 2013-07-01T00:00:00+00:00")
        self.what = what


class NotFound(BadInput):
    """A resource that does not exist."""

    def __init__(self, kind: str, name: str, mend: str = "") -> None:
        super().__init__(f"{kind} {name!r} does not exist" + (f"; {mend}" if mend else ""))
        self.kind, self.name = kind, name


class CheckFailed(EsteiraError):
    """A check or a gate said no: nothing is broken, the answer is no."""


class CorruptArtifact(EsteiraError):
    """Stored bytes are not what was written; for files, their digest is not the recorded one."""

    def __init__(self, what: str, expected: str, found: str) -> None:
        mend = "restore it from a backup, or delete it and run the pipeline again"
        super().__init__(f"{what} is corrupt: expected {expected[:80]}, found {found[:80]}; {mend}")
        self.what, self.expected, self.found = what, expected, found


class StorageUnwritable(EsteiraError):
    """A place that cannot be written: read-only, full, or not ours."""

    def __init__(self, place: str, reason: str) -> None:
        mend = "free space or choose another folder in esteira.toml"
        super().__init__(f"cannot write to {place}: {reason}; {mend}")
        self.place, self.reason = place, reason


class ServiceUnreachable(EsteiraError):
    """A server that should answer does not."""

    def __init__(self, service: str, address: str, reason: str) -> None:
        super().__init__(f"{service} at {address} does not answer ({reason}); start it or correct its URL")
        self.service, self.address, self.reason = service, address, reason
