"""One shard of a join, as a process: `python -m esteira.features.engines.shard ENGINE FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc

from esteira.features.engines import open_engine

QUESTIONS, ROWS, ANSWERS = "questions.arrow", "rows.arrow", "answers.arrow"


def join_shard(engine: str, folder: Path) -> None:
    """Answer the questions in a folder from the rows in it, into a third file there."""
    questions, rows = read_arrow(folder / QUESTIONS), read_arrow(folder / ROWS)
    found = open_engine(engine).last_available(questions, rows)
    write_arrow(pa.table({"answer": found}), folder / ANSWERS)


def write_arrow(table: pa.Table, path: Path) -> None:
    """A table as an Arrow file."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def read_arrow(path: Path) -> pa.Table:
    """The table in an Arrow file, mapped into memory."""
    with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
        return reader.read_all()


if __name__ == "__main__":
    join_shard(sys.argv[1], Path(sys.argv[2]))
