"""The cache key of a step: everything that its result may depend on, and nothing else.

Held: the step's code and all project code it reaches, its run parameters, the identities of its inputs (the
digest of another step's artifact, or what an `Input` says), the versions of the libraries its code uses,
Python's major.minor. The version of pyarrow is in every key: it decides the bytes of a stored table.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esteira.base.digest import digest_json
from esteira.pipelines.owners import version_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.pipelines.code import Code

FORMAT = 1  # of the key; a new number forgets every cached result
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class Key:
    """A key with what went into it, so that a later run can say what changed.

    >>> from esteira.pipelines.code import Code
    >>> one = Key(Code({"flights.clean": "d1"}, {}), {"seed": 7}, {"flights": "flights@3"})
    >>> one.digest == Key(Code({"flights.clean": "d2"}, {}), {"seed": 7}, {"flights": "flights@3"}).digest
    False
    """

    code: Code
    parameters: Mapping[str, object]  # by content
    inputs: Mapping[str, str]

    @property
    def versions(self) -> Mapping[str, str]:
        return {**self.code.versions, **version_of("pyarrow")}

    @property
    def digest(self) -> str:
        return digest_json(
            {
                "format": FORMAT,
                "code": self.code.digest,
                "parameters": self.parameters,
                "inputs": self.inputs,
                "versions": self.versions,
                "python": PYTHON,
            }
        )

    @property
    def parts(self) -> dict[str, Any]:
        """What the journal keeps of the key, to name the difference to a later one."""
        return {
            "code": {piece: digest[:12] for piece, digest in self.code.parts.items()},
            "parameters": self.parameters,
            "inputs": self.inputs,
            "versions": self.versions,
            "python": PYTHON,
        }
