"""Why a model that has routes cannot be asked now."""

from __future__ import annotations

from esteira.base.errors import EsteiraError


class ModelUnavailable(EsteiraError):
    """A model that has routes of which none can be asked now."""

    status = 503

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(f"model {model!r} is not ready: {reason}")
        self.model, self.reason = model, reason


class NotLoaded(ModelUnavailable):
    """A model that is not in memory and may be brought in: whoever can wait brings it and asks again."""

    headers = (("retry-after", "1"),)

    def __init__(self, model: str) -> None:
        super().__init__(model, "it is not in memory yet; ask again")
