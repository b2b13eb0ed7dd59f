"""Objects that know their own files: anything with `save(folder)` and `load(folder)`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from esteira.base.errors import BadInput
from esteira.base.optional import load
from esteira.pipelines.codecs.port import Unstorable

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.ports import Storable
    from esteira.pipelines.annotations import Annotation


class LostClass(BadInput):
    """The class of a stored object is not there any more, or is no Storable."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"a stored object is of class {name}, {reason}; restore the class or run the step again"
        )
        self.name = name


class StorableCodec:
    """The files of one class; its URL names it: `storable:esteira.registry.bundle:Model`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._name = url.partition(":")[2]

    def save(self, value: Storable, folder: Path) -> None:
        value.save(folder)
        if not any(folder.iterdir()):
            raise Unstorable(f"a {type(value).__qualname__}", "its save(folder) wrote no file")

    def load(self, folder: Path, declared: Annotation) -> object:
        is_said = (
            isinstance(declared, type) and is_storable_class(declared) and class_name(declared) == self._name
        )
        kind: type[Storable] = declared if is_said else self._class()
        return kind.load(folder)

    def settled(self, value: object, folder: Path, declared: Annotation) -> object:
        return value

    def _class(self) -> type[Storable]:
        module, _, path = self._name.partition(":")
        first, *rest = path.split(".")
        try:
            kind = load(f"{module}:{first}")
            for each in rest:
                kind = getattr(kind, each)
        except (ImportError, AttributeError, ValueError) as lost:
            raise LostClass(self._name, f"which cannot be found ({lost})") from lost
        if not is_storable_class(kind):
            raise LostClass(self._name, "which has no save(folder) and load(folder)")
        found: type[Storable] = kind
        return found


def is_storable_class(kind: Any) -> bool:  # noqa: ANN401 - whatever a name may lead to
    """Whether a class can write and read its own files."""
    return isinstance(kind, type) and all(callable(getattr(kind, each, None)) for each in ("save", "load"))


def class_name(kind: type) -> str:
    """The name by which another process finds a class. Raises: Unstorable.

    >>> from pathlib import PurePath
    >>> class_name(PurePath)
    'pathlib:PurePath'
    """
    found: Any = sys.modules.get(kind.__module__)
    for each in kind.__qualname__.split("."):
        found = getattr(found, each, None)
    if found is not kind:
        raise Unstorable(f"a {kind.__qualname__}", "its class must stand at the top of a module")
    return f"{kind.__module__}:{kind.__qualname__}"
