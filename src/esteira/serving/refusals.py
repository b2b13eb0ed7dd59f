"""What an error says to whoever asked, the same over every protocol."""

from __future__ import annotations

import logging

from esteira.base.errors import BadInput, EsteiraError, NotFound

log = logging.getLogger(__name__)

INTERNAL = "internal error; the gateway's log says why"
STORE = "a store that the gateway needs does not answer; its log says why"


class Refusals:
    """Turns errors into refusals, and logs what its caller is not told."""

    def __init__(self) -> None:
        self._said = ""

    def of(self, raised: Exception) -> tuple[int, str]:
        """The HTTP status of an error, and what its caller may know of it.

        >>> Refusals().of(NotFound("model", "late", "served: early"))
        (404, "model 'late' does not exist; served: early")
        """
        if isinstance(raised, BadInput):
            return getattr(raised, "status", 404 if isinstance(raised, NotFound) else 400), str(raised)
        if not isinstance(raised, EsteiraError):
            log.error("request failed", exc_info=raised)
            return 500, INTERNAL
        status: int = getattr(raised, "status", 0)
        if not status:  # its message may name places that are nobody's business
            self._say(str(raised))
            return 503, STORE
        return status, str(raised)

    def _say(self, reason: str) -> None:
        if reason != self._said:  # once, not with every request
            self._said = reason
            log.error("requests cannot be answered", extra={"reason": reason})
