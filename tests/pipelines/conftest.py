"""A journal, a store and a clock in a scratch folder; a project of files that a test may edit."""

from __future__ import annotations

import importlib
import itertools
import linecache
import re
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.pipelines.codecs.test_storable import Note

from esteira.base.clock import SimulatedClock
from esteira.pipelines.artifacts import ArtifactStore
from esteira.pipelines.graph import Graph
from esteira.pipelines.journal import Journal
from esteira.pipelines.run import run
from esteira.pipelines.step import Step, step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from esteira.pipelines.inputs import Input
    from esteira.pipelines.run import Outcome

Chain = tuple[list[Step[..., Any]], list[str]]
START = datetime(2013, 11, 5, 10, 15, tzinfo=UTC)


@dataclass
class Place:
    """Where runs happen in a test."""

    folder: Path
    clock: SimulatedClock = field(default_factory=lambda: SimulatedClock(start=START))

    def __post_init__(self) -> None:
        self.journal = Journal(f"sqlite:{self.folder}/journal.db")
        self.artifacts = ArtifactStore(f"file:{self.folder}/artifacts")

    def run(
        self, steps: Sequence[Step[..., Any]], inputs: Mapping[str, Input] | None = None, **options: Any
    ) -> Outcome:
        stores: dict[str, Any] = {
            "journal": self.journal,
            "artifacts": self.artifacts,
            "clock": self.clock,
            "project": "flights",
        }
        return run(Graph(steps, inputs or {}), **(stores | options))

    def reasons(self, outcome: Outcome) -> dict[str, str]:
        return {record.step: record.reason for record in self.journal.steps(outcome.run.id)}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Files:
    """Python files that are imported anew after each edit, as a new process would."""

    def __init__(self, folder: Path, mark: str) -> None:
        self.folder, self._mark, self._loaded = folder, mark, set[str]()

    def name(self, stem: str) -> str:
        return f"{stem}_{self._mark}"

    def write(self, **texts: str) -> None:
        """Write modules; in their text `@NAME@` stands for the import name of module NAME."""
        for stem, text in texts.items():
            content = re.sub("@(steps|helpers|more)@", lambda found: self.name(found[1]), text)
            (self.folder / f"{self.name(stem)}.py").write_text(content, encoding="utf-8")
            self._loaded.add(self.name(stem))

    def load(self, stem: str) -> ModuleType:
        for name in self._loaded:
            sys.modules.pop(name, None)
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        try:
            importlib.invalidate_caches()
            linecache.clearcache()
            return importlib.import_module(self.name(stem))  # noqa: TID251 - what a project loader does
        finally:
            sys.dont_write_bytecode = before

    def forget(self) -> None:
        for name in self._loaded:
            sys.modules.pop(name, None)


_marks = itertools.count()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    made = Files(folder, f"t{next(_marks)}")
    yield made
    made.forget()


@pytest.fixture
def chain() -> Chain:
    """flights → late → note, and what was executed."""
    ran: list[str] = []

    @step
    def flights(months: tuple[int, ...] = (1, 2)) -> pa.Table:
        ran.append("flights")
        return pa.table({"month": list(months)})

    @step
    def late(flights: pa.Table, above: int = 15) -> dict[str, int]:
        ran.append("late")
        return {"rows": flights.num_rows, "above": min(above, 20)}

    @step
    def note(late: dict[str, int], text: str = "late") -> Note:
        ran.append("note")
        return Note(f"{text} {late['rows']} {late['above']}")

    return [flights, late, note], ran
