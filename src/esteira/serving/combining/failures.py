"""Why a member gave no score, and what a request hears when too few gave one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, EsteiraError

if TYPE_CHECKING:
    from collections.abc import Mapping


class NoScore(EsteiraError):
    """A member that did not answer with a number; the words may be shown to whoever asked."""


class MemberLate(NoScore):
    """A member that had no answer by its deadline."""

    def __init__(self, deadline_ms: float) -> None:
        super().__init__(f"no answer in {deadline_ms:g} ms")
        self.deadline_ms = deadline_ms


class MemberBusy(NoScore):
    """A member that is still at an earlier call, which was late."""

    def __init__(self) -> None:
        super().__init__("still busy with a call that was late")


class NotFinite(NoScore):
    """A score that is no number."""

    def __init__(self, score: float) -> None:
        super().__init__(f"its score was {score}")
        self.score = score


class MembersFailed(EsteiraError):
    """A combination without an answer; what kind each failure was, its words where they tell no secrets."""

    status = 503

    def __init__(self, failures: Mapping[str, Exception]) -> None:
        said = "; ".join(f"{name}: {_shown(failed)}" for name, failed in failures.items())
        super().__init__(f"too few members of the model answered: {said}; ask again, or mend those members")
        self.failures = dict(failures)


class RowsRefused(BadInput):
    """A row that members of a combination refuse, so that too few are left to answer."""

    def __init__(self, failures: Mapping[str, Exception]) -> None:
        said = "; ".join(f"{name}: {failed}" for name, failed in failures.items())
        super().__init__(f"members of the model refuse the row: {said}")
        self.failures = dict(failures)


def no_answer(failures: Mapping[str, Exception]) -> EsteiraError:
    """The error of a combination whose answer is missing, by what its members said.

    >>> no_answer({"fast": MemberLate(20), "deep": KeyError("/srv/secret")}).args[0][:80]
    'too few members of the model answered: fast: no answer in 20 ms; deep: KeyError;'
    """
    if failures and all(isinstance(failed, BadInput) for failed in failures.values()):
        return RowsRefused(failures)
    return MembersFailed(failures)


def _shown(failed: Exception) -> str:
    is_ours = isinstance(failed, NoScore | BadInput | MembersFailed)
    return str(failed) if is_ours else type(failed).__name__
