"""Equal models, equal bytes: skops files without the memory addresses and clock times that skops writes."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

_SCHEMA = "schema.json"
_DAY_ONE = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


def canonical_skops(content: bytes) -> bytes:
    """The same skops file with objects and arrays numbered in the order of the schema.

    skops names objects by their address in memory, and a zip entry carries the time of its writing.
    """
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as given:
        schema = _renumbered(json.loads(given.read(_SCHEMA)), numbers, names)
        entries = {new: given.read(old) for old, new in names.items()}
    entries[_SCHEMA] = json.dumps(schema, separators=(",", ":")).encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:  # stored: the bytes of a compressor depend on its version
        for name, held in entries.items():
            made.writestr(zipfile.ZipInfo(name, _DAY_ONE), held)
    return target.getvalue()


def _renumbered(node: Any, numbers: dict[int, int], names: dict[str, str]) -> Any:  # noqa: ANN401 - JSON values
    if isinstance(node, list):
        return [_renumbered(each, numbers, names) for each in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _renumbered(value, numbers, names) for key, value in node.items()}
    if isinstance(node.get("__id__"), int):
        # from 1, because skops takes 0 for no number
        changed["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
    if isinstance(node.get("file"), str):
        changed["file"] = names.setdefault(node["file"], f"{len(names)}.{node['file'].rpartition('.')[2]}")
    return changed
