"""What stands in the cells of the tables: digests, numbers, moments and tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from datetime import datetime

    from esteira.web.words import Words

_ALARMING = frozenset(
    {"firing", "worse", "drifted", "failed", "rolled back", "changed", "unreachable", "unavailable"}
    | {"draining", "not running", "revoked", "expired"}
)


def code(digest: str) -> Markup:
    """The beginning of a digest, enough to tell it from others."""
    return Markup("<code>{}</code>").format(digest[:12])


def decimal(value: float | None) -> str:
    """Three places; a dash for what is not known."""
    return "–" if value is None else f"{value:.3f}"


def seconds(value: float | None) -> str:
    """A short time, three digits of it; a dash for what is not known.

    >>> seconds(0.000085), seconds(0.01234), seconds(2.5)
    ('85 µs', '12.3 ms', '2.5 s')
    """
    if value is None:
        return "–"
    number, unit = value * 1e6, "µs"
    if number >= 999.5:
        number, unit = value * 1e3, "ms"
    if number >= 999.5:
        number, unit = value, "s"
    return f"{number:.3g} {unit}"


def size(taken: float | None) -> str:
    """Memory, in units of 1024; a dash for what is not known.

    >>> size(512), size(3 * 2**20), size(2000 * 2**30)
    ('0.5 KiB', '3 MiB', '1.95 TiB')
    """
    if taken is None:
        return "–"
    number, units = taken / 1024, ["TiB", "GiB", "MiB", "KiB"]
    while number >= 999.5 and len(units) > 1:
        number /= 1024
        units.pop()
    return f"{number:.3g} {units[-1]}"


def share(value: float | None) -> str:
    """A part of a whole, with a decimal where it is small; a dash for what is not known.

    >>> share(0.0001), share(0.004), share(0.25), share(1.5), share(0)
    ('<0.1%', '0.4%', '25%', '150%', '0%')
    """
    if value is None:
        return "–"
    if 0 < value < 0.0005:
        return "<0.1%"
    return f"{value:.1%}" if 0 < value < 0.0995 else f"{value:.0%}"


def brief(text: str, letters: int = 90) -> str:
    """The beginning of a text.

    >>> brief("the bundle is gone", 10)
    'the bundl…'
    """
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def rate(value: float | None, say: Words) -> str:
    """How often in a second: whole when that says enough; a dash for what is not known.

    >>> from esteira.web.words import Words
    >>> rate(1234.5, Words("en")), rate(12.34, Words("en")), rate(0.0333, Words("en")), rate(0, Words("en"))
    ('1,234', '12', '0.033', '0')
    """
    if value is None:
        return "–"
    return f"{value:.2g}" if value < 9.95 else say.count(round(value))


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


def rollout_link(rollout_id: str, say: Words) -> Markup:
    """The id of a rollout, which leads to its page."""
    return Markup('<a href="/rollouts/{}?lang={}">{}</a>').format(rollout_id, say.language, rollout_id)
