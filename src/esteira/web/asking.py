"""How to ask a model: requests that work, with a row made from its signature."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from esteira.registry.bundle import Model, read_signature, read_tensors
from esteira.serving.costs import Cost
from esteira.serving.decoders import RowDecoder
from esteira.serving.http.model_openapi import infer_body, invocation_body
from esteira.serving.live.arms import LoadedArm, LoadedModel

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from esteira.serving.routes import Arm

KEY_VARIABLE = "ESTEIRA_KEY"  # where the shell of whoever asks holds a key


@dataclass(frozen=True, slots=True)
class Asking:
    """The addresses of a model and commands that ask it; a command is empty where there is none."""

    infer: str
    invocations: str
    openapi: str


def asking(url: str, name: str, arm: LoadedArm, *, is_default: bool, needs_key: bool) -> Asking:
    """How to ask a model of the gateway at `url`; only the default one answers /invocations."""
    model = f"{url}/v2/models/{quote(name, safe='')}"
    infer, invocation = infer_body(arm).get("example"), invocation_body(arm).get("example")
    return Asking(
        _command(f"{model}/infer", infer, needs_key=needs_key),
        _command(f"{url}/invocations", invocation, needs_key=needs_key) if is_default else "",
        f"{model}/openapi.json",
    )


def described(arm: Arm, bundle: Path) -> LoadedArm:
    """A version as its bundle's card describes it, without what would answer. Raises: CorruptArtifact."""
    signature = read_signature(bundle)
    card = Model("", signature, {}, tensors=read_tensors(bundle))
    return LoadedArm(arm, LoadedModel(card, None, None, None, RowDecoder(signature), Cost()))


def default_of(project: str, models: Collection[str]) -> str:
    """The model that /invocations asks: the project's, else the only one; empty when there is none.

    >>> default_of("late", ["early", "late"]), default_of("late", ["early"]), default_of("late", [])
    ('late', 'early', '')
    """
    if project in models:
        return project
    return next(iter(models)) if len(models) == 1 else ""


def _command(url: str, body: object, *, needs_key: bool) -> str:
    if body is None:
        return ""
    key = f' \\\n  -H "Authorization: Bearer ${KEY_VARIABLE}"' if needs_key else ""
    text = shlex.quote(json.dumps(body, ensure_ascii=False))
    return f"curl {shlex.quote(url)}{key} \\\n  -H 'Content-Type: application/json' \\\n  -d {text}"
