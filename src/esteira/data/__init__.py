"""Rows from sources into tables that keep every version, checked on the way."""

from __future__ import annotations

from esteira.data.checks import (
    BatchRefused,
    Check,
    Checked,
    CheckResult,
    Fresh,
    HasColumns,
    InRange,
    NotNull,
    OneOf,
    Unique,
    validate,
)
from esteira.data.ingestion import Ingested, declare, ingest, quarantine_of
from esteira.data.sources import open_source
from esteira.data.sources.files import FileSource
from esteira.data.sources.port import Source
from esteira.data.tables import open_tables
from esteira.data.tables.port import SEQUENCE, Described, TableStore, Vacuumed
from esteira.data.tables.schema import SchemaChanged

__all__ = [
    "SEQUENCE",
    "BatchRefused",
    "Check",
    "CheckResult",
    "Checked",
    "Described",
    "FileSource",
    "Fresh",
    "HasColumns",
    "InRange",
    "Ingested",
    "NotNull",
    "OneOf",
    "SchemaChanged",
    "Source",
    "TableStore",
    "Unique",
    "Vacuumed",
    "declare",
    "ingest",
    "open_source",
    "open_tables",
    "quarantine_of",
    "validate",
]
