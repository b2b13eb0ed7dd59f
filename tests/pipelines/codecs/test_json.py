"""JSON values as artifacts."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.codec import CodecContract

from esteira.base.errors import CorruptArtifact
from esteira.pipelines.codecs.json import FILE, JsonCodec
from esteira.pipelines.codecs.port import Unstorable


class Season(Enum):
    WINTER = "winter"


@dataclass
class Split:
    at: datetime
    sizes: tuple[int, int]


NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)


class TestJsonCodec(CodecContract):
    values = (
        ({"auc": 0.7, "rows": 3, "by": {"JFK": [1, None, "é"]}}, dict),
        (None, None),
        (3, int),
        (3, object),
        (1.0, float),
        (True, bool),
        ("text", str),
        ([], list[int]),
        ((1, 2), tuple[int, ...]),
        (Season.WINTER, Season),
        (NOON, datetime),
        (timedelta(days=1), timedelta),
        (Split(NOON, (1, 2)), Split),
        ([Split(NOON, (1, 2))], list[Split]),
        ({"1": "a"}, dict[str, str]),
    )

    def open(self) -> JsonCodec:
        return JsonCodec()

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (float("nan"), "not JSON compliant"),
            ([float("inf")], "not JSON compliant"),
            (object(), "unsupported|no JSON value"),
            (np.array([1]), "no JSON value"),
            (np.int64(1), "no JSON value"),
            ({1: "a"}, "texts as the keys"),
            ({"a": {1: 2}}, "texts as the keys"),
            ([{None: 2}], "texts as the keys"),
            (len, "no JSON value"),
        ],
    )
    def test_what_json_cannot_hold_is_refused(self, tmp_path: Path, value: object, said: str) -> None:
        with pytest.raises(Unstorable, match=said):
            self.open().save(value, tmp_path)

    def test_a_numpy_float_is_a_float(self, tmp_path: Path) -> None:
        self.open().save({"auc": np.float64(0.5)}, tmp_path)
        assert self.open().load(tmp_path, object) == {"auc": 0.5}

    def test_without_a_declared_type_a_tuple_comes_back_as_a_list(self, tmp_path: Path) -> None:
        self.open().save((1, 2), tmp_path)
        assert self.open().settled((1, 2), tmp_path, object) == self.open().load(tmp_path, object) == [1, 2]

    def test_a_whole_number_where_a_float_is_declared_is_a_float_at_once_and_later(
        self, tmp_path: Path
    ) -> None:
        self.open().save(1, tmp_path)
        for found in (self.open().settled(1, tmp_path, float), self.open().load(tmp_path, float)):
            assert type(found) is float

    def test_broken_bytes_are_corrupt(self, tmp_path: Path) -> None:
        (tmp_path / FILE).write_bytes(b"{")
        with pytest.raises(CorruptArtifact):
            self.open().load(tmp_path, object)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=10,
)


@given(json_values)
def test_every_json_value_comes_back_to_the_bit(value: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        JsonCodec().save(value, Path(name))
        found = JsonCodec().load(Path(name), object)
    assert json.dumps(found, sort_keys=True) == json.dumps(value, sort_keys=True)
