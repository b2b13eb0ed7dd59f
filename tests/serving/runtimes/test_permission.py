from __future__ import annotations

import pytest
from tests.serving.foreign import allowed

from esteira.base.errors import BadInput
from esteira.serving.runtimes.permission import Permission, PyfuncNotAllowed, permission


def test_nothing_is_allowed_that_was_not_said_to_be() -> None:
    with pytest.raises(
        PyfuncNotAllowed, match=r"write allow_pyfunc = true under \[gateway\] in esteira.toml"
    ):
        permission()


def test_what_the_last_door_said_holds_until_another_says_otherwise() -> None:
    with allowed(5):
        assert permission() == Permission(is_given=True, seconds=5)
    with pytest.raises(PyfuncNotAllowed):
        permission()


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_call_needs_some_time(seconds: float) -> None:
    with pytest.raises(BadInput, match="pyfunc_seconds"):
        Permission(is_given=True, seconds=seconds)
