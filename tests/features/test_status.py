"""The words for why a cell is empty."""

from __future__ import annotations

from esteira.features import status


def test_statuses_are_words_that_stay_the_same_in_stored_tables() -> None:
    found = (status.PRESENT, status.MISSING, status.EXPIRED, status.NULL)
    assert found == ("present", "missing", "expired", "null")
