from __future__ import annotations

from esteira.serving.telemetry.cells import SINK
from esteira.serving.telemetry.families import BY_NAME, FAMILIES


def test_names_follow_the_conventions_of_prometheus() -> None:
    for family in FAMILIES:
        assert family.name.startswith("esteira_")
        assert family.name.endswith("_total") == (family.kind == "counter")
        if family.kind == "histogram":
            assert family.name.endswith(("_seconds", "_rows"))
    assert len(BY_NAME) == len(FAMILIES)


def test_only_histograms_have_buckets_and_they_rise() -> None:
    for family in FAMILIES:
        assert bool(family.buckets) == (family.kind == "histogram")
        assert list(family.buckets) == sorted(set(family.buckets))
        assert family.size <= SINK


def test_no_label_is_chosen_by_a_client_without_end() -> None:
    known = {"model", "version", "variant", "protocol", "code", "reason", "digest", "worker", "device"}
    known |= {"log", "observer", "to", "python", "outcome"}
    assert {label for family in FAMILIES for label in family.labels} <= known
