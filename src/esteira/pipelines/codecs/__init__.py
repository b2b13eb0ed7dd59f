"""The codecs by name, and which of them a value asks for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from esteira.base.optional import open_by_scheme
from esteira.pipelines.codecs.storable import class_name, is_storable_class

if TYPE_CHECKING:
    from esteira.pipelines.codecs.port import Codec

_CODECS = {
    "json": "esteira.pipelines.codecs.json:JsonCodec",
    "storable": "esteira.pipelines.codecs.storable:StorableCodec",
    "table": "esteira.pipelines.codecs.table:TableCodec",
}


def open_codec(name: str) -> Codec:
    """`json`, `table`, or `storable:module:Class`. Raises: UnknownScheme."""
    codec: Codec = open_by_scheme(_CODECS, name)
    return codec


def codec_for(value: object) -> str:
    """The name of the codec that writes a value. Raises: Unstorable (a class that cannot be found again).

    >>> codec_for({"auc": 0.7})
    'json'
    """
    arrow = sys.modules.get("pyarrow")  # not loaded here: a table of its own has loaded it
    if arrow is not None and isinstance(value, arrow.Table):
        return "table"
    return f"storable:{class_name(type(value))}" if is_storable_class(type(value)) else "json"
