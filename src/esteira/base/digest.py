"""Identity is content: SHA-256 of bytes, files, folders and canonical JSON."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path


def canonical_json(value: object) -> bytes:
    """The one spelling of a JSON value: sorted keys, no spaces, UTF-8, no NaN.

    Source: after RFC 8785; keys sort by code point, numbers are spelled as Python spells them.
    >>> canonical_json({"b": 1, "a": [1.5, None]})
    b'{"a":[1.5,null],"b":1}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def json_text(value: object, what: str) -> str:
    """The canonical JSON of something that a caller gave to be kept.

    Raises: BadInput, naming `what`.
    >>> json_text({"rows": 3}, "facts")
    '{"rows":3}'
    """
    try:
        return canonical_json(value).decode()
    except (TypeError, ValueError) as wrong:
        raise BadInput(f"{what} must be JSON values (finite numbers, text, lists): {wrong}") from wrong


def digest_bytes(content: bytes | memoryview) -> str:
    """SHA-256 in hex.

    >>> digest_bytes(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(content).hexdigest()


def digest_json(value: object) -> str:
    """SHA-256 of the canonical JSON.

    >>> digest_json({"a": 1, "b": 2}) == digest_json({"b": 2, "a": 1})
    True
    """
    return digest_bytes(canonical_json(value))


def digest_file(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_folder(folder: Path) -> str:
    """One digest for the names and bytes of all files below a folder, whatever order the disk lists them."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return digest_json({name: digest_file(folder / name) for name in names})
