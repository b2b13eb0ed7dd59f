"""JSON values, and what msgspec spells as JSON: tuples, times, enums, dataclasses.

Those come back as the declared type says; without one, as plain JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from esteira.base.digest import canonical_json
from esteira.base.errors import CorruptArtifact
from esteira.pipelines.codecs.port import Unstorable

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.pipelines.annotations import Annotation

FILE = "value.json"


class JsonCodec:
    """Canonical JSON in one file."""

    def __init__(self, url: str = "json") -> None:
        self.url = url

    def save(self, value: object, folder: Path) -> None:
        try:
            plain = msgspec.to_builtins(value, enc_hook=_base_type, order="deterministic")
            content = canonical_json(plain)
        except (TypeError, ValueError, RecursionError) as wrong:
            raise Unstorable(f"a {type(value).__qualname__}", str(wrong)) from wrong
        if not _same(json.loads(content), plain):
            raise Unstorable(f"a {type(value).__qualname__}", "JSON needs texts as the keys of a mapping")
        (folder / FILE).write_bytes(content)

    def load(self, folder: Path, declared: Annotation) -> object:
        try:
            value = json.loads((folder / FILE).read_bytes())
        except (OSError, ValueError) as broken:
            raise CorruptArtifact(f"artifact {folder.name}", "JSON", str(broken)) from broken
        try:
            return msgspec.convert(value, declared, str_keys=True)
        except (TypeError, msgspec.ValidationError):  # a type that msgspec does not know, or a looser reader
            return value

    def settled(self, value: object, folder: Path, declared: Annotation) -> object:
        is_itself = type(value) is declared and declared in (bool, int, float, str)
        return value if is_itself else self.load(folder, declared)


def _base_type(value: object) -> object:
    """A float that is more than a float, such as numpy's float64, as a plain one; and so on."""
    for base in (float, int, str):
        if isinstance(value, base):
            return base(value)
    raise TypeError(f"{type(value).__qualname__} is no JSON value")


def _same(read: object, written: object) -> bool:
    """Whether JSON kept a value; a tuple is written as a list."""
    if isinstance(written, dict) and isinstance(read, dict):
        return read.keys() == written.keys() and all(_same(read[name], written[name]) for name in written)
    if isinstance(written, list | tuple) and isinstance(read, list):
        return len(read) == len(written) and all(map(_same, read, written))
    return read == written
