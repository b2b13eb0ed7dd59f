"""Tags on versions, written and read back."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import CorruptArtifact
from esteira.registry.backends.marks import version_marks, version_record

AT = datetime(2013, 4, 1, 12, tzinfo=UTC)


def found(tags: dict[str, str]) -> SimpleNamespace:
    """A version as MLflow hands it out."""
    return SimpleNamespace(name="late", version="3", run_id="f" * 32, creation_timestamp=1_000, tags=tags)


@given(st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False)), st.datetimes(timezones=st.just(UTC)))
def test_what_is_marked_is_read_back(metrics: dict[str, float], at: datetime) -> None:
    record = version_record(found({"why": "test", **version_marks("run-1", "ab", metrics, at)}), ["b", "a"])
    assert (record.name, record.version, record.run_id, record.digest) == ("late", 3, "run-1", "ab")
    assert record.metrics == metrics
    assert record.created_at == at
    assert record.aliases == ("a", "b")
    assert record.tags == {"why": "test"}


def test_a_version_of_other_makers_has_its_own_time_and_run() -> None:
    record = version_record(found({}), ())
    assert (record.digest, record.metrics, record.run_id) == ("", {}, "f" * 32)
    assert record.created_at == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize("change", [{"esteira.metrics": "no json"}, {"esteira.created_at": "yesterday"}])
def test_a_mark_that_somebody_edited_is_named(change: dict[str, str]) -> None:
    with pytest.raises(CorruptArtifact, match="of late version 3 is corrupt: expected what esteira wrote"):
        version_record(found(version_marks("run-1", "ab", {}, AT) | change), ())
