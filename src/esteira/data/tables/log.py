"""Delta's transaction log of one table, as far as our commits need it.

Source: the Delta transaction log protocol, github.com/delta-io/delta/blob/master/PROTOCOL.md; reader
version 1, writer version 2. An entry is on the disk, whole, before its name is there to be seen.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from uuid import uuid4

from esteira.base.clock import from_micros, to_micros
from esteira.base.errors import CorruptArtifact
from esteira.base.files import sync_folder, writing
from esteira.data.tables.facts import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from esteira.data.tables.facts import Facts

LOG = "_delta_log"
CHECKPOINT_EVERY = 50  # commits; opening a table reads the entries since the last checkpoint
_OF, _COUNT = "delta.dataSkippingStatsColumns", "delta.dataSkippingNumIndexedCols"
_FIRST, _LAST = to_micros(datetime.min.replace(tzinfo=UTC)), to_micros(datetime.max.replace(tzinfo=UTC))


def entry(folder: Path, version: int) -> Path:
    """The log entry that makes a version.

    >>> from pathlib import Path
    >>> entry(Path("flights"), 7).as_posix()
    'flights/_delta_log/00000000000000000007.json'
    """
    return folder / LOG / f"{version:020}.json"


def is_table(folder: Path) -> bool:
    """Whether a folder holds a table: some version of it is committed."""
    return any((folder / LOG).glob("*.json"))


def publish(folder: Path, version: int, actions: Sequence[Mapping[str, Any]]) -> bool:
    """Make actions the given version of a table, durably and at once; False if that version is taken.

    Raises: StorageUnwritable; the entry may have been published if the disk failed at the very end.
    """
    place = entry(folder, version)
    scratch = place.with_name(f".{uuid4()}.tmp")
    content = "".join(json.dumps(action, separators=(",", ":")) + "\n" for action in actions)
    with writing(place):
        try:
            with scratch.open("xb") as file:
                file.write(content.encode())
                file.flush()
                os.fsync(file.fileno())
            os.link(scratch, place)  # refuses a name that is there, which a rename would replace
        except FileExistsError:
            return False
        finally:
            scratch.unlink(missing_ok=True)
        sync_folder(place.parent)
    return True


def read_entry(path: Path) -> Entry:
    """What a log entry says. Raises: CorruptArtifact."""
    try:
        actions = [json.loads(line) for line in path.read_bytes().splitlines()]
        said = {kind: each[kind] for each in actions for kind in ("commitInfo", "metaData") if kind in each}
        added = [unquote(each["add"]["path"]) for each in actions if each.get("add")]
        return Entry(said.get("commitInfo", {}), said.get("metaData"), added)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as broken:
        found = getattr(broken, "strerror", None) or str(broken)
        wanted = f"JSON actions in {path.name}"
        raise CorruptArtifact(f"log of table {path.parents[1].name}", wanted, found) from broken


def beginning(schema: str, times: Sequence[str], at: int) -> list[dict[str, Any]]:
    """Actions that begin a table with a schema in Delta's JSON; `times` are its columns of time."""
    configuration = {
        "delta.checkpointInterval": str(CHECKPOINT_EVERY),
        "delta.enableExpiredLogCleanup": "false",  # every version stays readable
    }
    metadata = {
        "id": str(uuid4()),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema,
        "partitionColumns": [],
        "createdTime": at // 1000,
        "configuration": configuration | _statistics(times),
    }
    return [{"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}, {"metaData": metadata}]


def _statistics(times: Sequence[str]) -> dict[str, str]:
    """Every statistic is paid for on every read of the log, and rows are looked up by time only."""
    if not all(name.isidentifier() for name in times):
        return {}
    return {_OF: ",".join(times)} if times else {_COUNT: "0"}


def appending(facts: Facts) -> list[dict[str, Any]]:
    """Actions that append a file of rows, or none, and keep the token."""
    info = _info("WRITE", {"mode": "Append"}, facts)
    actions: list[dict[str, Any]] = [{"commitInfo": info | {"isBlindAppend": True}}]
    if facts.token:
        actions.append({"txn": {"appId": facts.token, "version": 1}})
    if facts.file:
        actions.append(_add(facts, changes=True))
    return actions


def compacting(facts: Facts, replaced: Sequence[Facts]) -> list[dict[str, Any]]:
    """Actions that put the merged files in the place of those that they replace; no row changes."""
    info = _info("OPTIMIZE", {}, facts)
    removed = {"deletionTimestamp": facts.at // 1000, "dataChange": False}
    whole = {"extendedFileMetadata": True, "partitionValues": {}}
    actions = [{"commitInfo": info}]
    actions += [{"remove": {"path": each.file} | removed | whole | {"size": each.size}} for each in replaced]
    return actions + [_add(merge.made, changes=False) for merge in facts.merges]


def evolving(
    metadata: Mapping[str, Any], schema: str, times: Sequence[str], facts: Facts
) -> list[dict[str, Any]]:
    """Actions that give a table another schema in Delta's JSON; all else of its metadata stays."""
    kept = {name: value for name, value in metadata["configuration"].items() if name not in (_OF, _COUNT)}
    changed = {"schemaString": schema, "configuration": kept | _statistics(times)}
    return [{"commitInfo": _info("ADD COLUMN", {}, facts)}, {"metaData": {**metadata, **changed}}]


def _info(operation: str, parameters: Mapping[str, str], facts: Facts) -> dict[str, Any]:
    about = {"timestamp": facts.at // 1000, "operation": operation, "operationParameters": parameters}
    return about | {"engineInfo": "esteira"} | facts.to_plain()


def _add(facts: Facts, *, changes: bool) -> dict[str, Any]:
    add = {"path": facts.file, "partitionValues": {}, "size": facts.size}
    about = {"modificationTime": facts.at // 1000, "dataChange": changes, "stats": stats(facts)}
    return {"add": add | about}


def stats(facts: Facts) -> str:
    """Rows and spans of time of a file, for other readers of the log.

    >>> from esteira.data.tables.facts import Facts
    >>> stats(Facts(rows=2, at=0, spans={"seen": (0, 1_000_000, 0)}))[:62]
    '{"numRecords": 2, "minValues": {"seen": "1970-01-01T00:00:00Z"'
    """
    low, high, nulls = {}, {}, {}
    for name, (first, last, absent) in facts.spans.items():
        if _FIRST <= first <= last <= _LAST:
            low[name], high[name], nulls[name] = _spelt(first), _spelt(last), absent
    return json.dumps({"numRecords": facts.rows, "minValues": low, "maxValues": high, "nullCount": nulls})


def _spelt(micros: int) -> str:
    return from_micros(micros).isoformat().replace("+00:00", "Z")
