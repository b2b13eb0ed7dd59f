"""The code that a step is made of: itself and all project code that it reaches, and the libraries it uses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from esteira.base.digest import digest_json
from esteira.pipelines.reach import Reach

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Code:
    """What a function consists of: each piece of project code by its digest, and the library versions."""

    parts: Mapping[str, str]
    versions: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        return digest_json(dict(self.parts))


def fingerprint(function: Callable[..., Any]) -> str:
    """One digest for a function and the project code it reaches; comments, docstrings, layout do not count.

    Raises: ClosedOver.
    >>> fingerprint(lambda x: x + 1) == fingerprint(lambda x: x + 2)
    False
    """
    return code_of(function).digest


def versions(function: Callable[..., Any]) -> Mapping[str, str]:
    """The installed distributions that a function's code uses, with their versions. Raises: ClosedOver."""
    return code_of(function).versions


def code_of(function: Callable[..., Any], *, own_defaults: bool = True) -> Code:
    """All project code that a function reaches.

    Without `own_defaults` the function's own default values stay out: for a step they are parameters, which
    the key holds by value. Raises: ClosedOver.
    """
    reach = Reach()
    reach.follow(function, own_defaults=own_defaults)
    return Code(dict(sorted(reach.parts.items())), dict(sorted(reach.versions.items())))
