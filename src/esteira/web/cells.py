"""What stands in the cells of the tables: digests, numbers, moments and tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from datetime import datetime

    from esteira.web.words import Words

_ALARMING = frozenset({"firing", "worse", "drifted", "failed", "rolled back", "changed", "unreachable"})


def code(digest: str) -> Markup:
    """The beginning of a digest, enough to tell it from others."""
    return Markup("<code>{}</code>").format(digest[:12])


def decimal(value: float | None) -> str:
    """Three places; a dash for what is not known."""
    return "–" if value is None else f"{value:.3f}"


def moment(at: datetime) -> Markup:
    """A time to the minute, in UTC."""
    return Markup("<time>{}</time>").format(f"{at:%Y-%m-%d %H:%M}")


def tag(word: str, say: Words) -> Markup:
    """A state in the reader's language, in the colour of alarm if it is one; nothing for no word.

    >>> from esteira.web.words import Words
    >>> tag("passed", Words("pt-BR"))
    Markup('<span class="tag">passou</span>')
    """
    css = "tag alarm" if word in _ALARMING else "tag"
    return Markup('<span class="{}">{}</span>').format(css, say(word)) if word else Markup("")
