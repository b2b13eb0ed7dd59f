from __future__ import annotations

from esteira.base.errors import BadInput
from esteira.serving.combining.failures import (
    MemberBusy,
    MemberLate,
    MembersFailed,
    NotFinite,
    RowsRefused,
    no_answer,
)


def test_the_error_names_each_reason_but_no_secret_of_a_strangers_error() -> None:
    failures = {
        "a": MemberLate(20),
        "b": MemberBusy(),
        "c": NotFinite(float("nan")),
        "d": OSError("/srv/secret"),
    }
    failed = no_answer(failures)
    assert isinstance(failed, MembersFailed)
    assert failed.status == 503
    said = str(failed)
    assert "a: no answer in 20 ms; b: still busy" in said
    assert "c: its score was nan; d: OSError" in said
    assert "secret" not in said
    assert failed.failures == failures


def test_a_row_that_all_refuse_is_the_callers_to_mend() -> None:
    refused = no_answer({"a": BadInput("no miles"), "b": BadInput("no carrier")})
    assert isinstance(refused, RowsRefused)
    assert isinstance(refused, BadInput)
    assert "a: no miles; b: no carrier" in str(refused)
    assert isinstance(no_answer({"a": BadInput("no miles"), "b": MemberLate(1)}), MembersFailed)
