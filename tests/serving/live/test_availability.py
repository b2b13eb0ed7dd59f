from __future__ import annotations

from esteira.serving.live.availability import ModelUnavailable, NotLoaded


def test_what_cannot_be_asked_says_which_model_and_why() -> None:
    refused = ModelUnavailable("late", "it hangs")
    assert (refused.model, refused.reason, refused.status) == ("late", "it hangs", 503)
    assert "'late' is not ready: it hangs" in str(refused)


def test_what_may_be_brought_in_is_unavailable_to_who_does_not_know_how() -> None:
    assert isinstance(NotLoaded("late"), ModelUnavailable)
