"""What the codecs have in common."""

from __future__ import annotations

import pyarrow as pa
import pytest
from tests.pipelines.codecs.test_storable import Note

from esteira.base.errors import BadInput, UnknownScheme
from esteira.pipelines.codecs import codec_for, open_codec
from esteira.pipelines.codecs.port import Unstorable
from esteira.pipelines.codecs.storable import StorableCodec
from esteira.pipelines.codecs.table import TableCodec


def test_a_value_asks_for_its_codec() -> None:
    assert codec_for(pa.table({"a": [1]})) == "table"
    assert codec_for(Note("x")) == f"storable:{Note.__module__}:Note"
    assert codec_for(Note) == codec_for(3) == codec_for(None) == "json"


def test_a_codec_is_opened_by_name() -> None:
    assert isinstance(open_codec("table"), TableCodec)
    assert isinstance(open_codec("storable:a:B"), StorableCodec)
    with pytest.raises(UnknownScheme):
        open_codec("pickle")


def test_a_value_that_cannot_be_stored_is_bad_input_with_the_mend() -> None:
    refused = Unstorable("a socket", "it is open")
    assert isinstance(refused, BadInput)
    assert str(refused).startswith(
        "a socket cannot be stored: it is open; return a pyarrow.Table, JSON values"
    )
