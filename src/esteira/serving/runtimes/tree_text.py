"""LightGBM's text of trees: whole, before a library reads it."""

from __future__ import annotations

import re

from esteira.base.errors import CorruptArtifact

PAYLOAD = "model.txt"


def check_whole(text: bytes) -> None:
    """Hold a text against the sizes of its trees that it states. Raises: CorruptArtifact.

    The library reads beyond the end of a truncated text and ends the process.
    """
    sizes = re.search(rb"^tree_sizes=([0-9 ]*)$", text, re.MULTILINE)
    at = text.find(b"\nTree=0\n") + 1
    for number, size in enumerate(sizes[1].split() if sizes and at else ()):
        if not text.startswith(b"Tree=%d\n" % number, at):
            raise CorruptArtifact(PAYLOAD, f"tree {number} at byte {at}", repr(text[at : at + 20]))
        at += int(size)
    if not sizes or not text.startswith(b"end of trees\n", at):
        raise CorruptArtifact(PAYLOAD, "a whole LightGBM model", f"{len(text)} bytes without its last tree")


def check_columns(expected: int, found: int) -> None:
    """Hold the columns of a model against its signature's. Raises: CorruptArtifact."""
    if found != expected:
        raise CorruptArtifact(PAYLOAD, f"{expected} columns", f"{found}")


def check_classes(found: int) -> None:
    """Hold a model to one score a row: each class writes one. Raises: CorruptArtifact."""
    if found != 1:
        raise CorruptArtifact(PAYLOAD, "one score per row", f"{found}")
