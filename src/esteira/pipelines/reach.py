"""What code reaches: from one function to every piece of project code that can change what it computes.

Followed: functions, classes, modules, closures, defaults, constants by their value, imports inside functions,
what decorators wrapped. A container that the code itself changes is known by the statements that made it.
Not seen: names made at run time (`eval`, `globals()[name]`), and files that code reads by itself; make those
an input. Where the source no longer is what runs, the compiled code counts.
"""

from __future__ import annotations

import ast
import copy
import sys
from collections import deque
from functools import partial
from importlib.util import resolve_name
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, GenericAlias, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from esteira.base.digest import digest_json
from esteira.base.errors import BadInput
from esteira.base.optional import load
from esteira.pipelines.content import Unhashable, Value, content, record
from esteira.pipelines.owners import Owner, distributions_of, is_project, owner_of_file, owner_of_module
from esteira.pipelines.syntax import Reading, chains, compiled, names_in, read, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType

    from esteira.pipelines.syntax import Chain, Import, Source

_OURS = (Owner.PROJECT, Owner.ESTEIRA)
_CONTAINERS = (list, dict, set)
_STEP = ("esteira.pipelines.step", "step")


class ClosedOver(BadInput):
    """A function that carries a value in its closure which no cache key could hold."""

    def __init__(self, function: str, name: str, kind: str) -> None:
        super().__init__(
            f"{function} closes over {name!r}, a {kind}, whose content cannot be part of the cache key; "
            "hand it over as an input or a parameter"
        )
        self.function, self.name, self.kind = function, name, kind


class _Scope(NamedTuple):
    """Where the names of a piece of code are looked up."""

    names: Mapping[str, Any]  # of its module
    closed: Mapping[str, Any]
    local: frozenset[str]
    owner: str


class Reach:
    """The walk from a function: `parts` holds each piece of code by its digest, `versions` the libraries."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self._labels: dict[object, str] = {}
        self._used: set[str] = set()
        self._alive: list[object] = []  # labels go by id, so nothing labelled may be collected
        self._waiting: deque[tuple[str, Callable[[], object]]] = deque()
        self._sources: dict[str, Source | None] = {}

    def follow(self, function: Callable[..., Any], *, own_defaults: bool) -> None:
        """Collect what a function reaches. Raises: ClosedOver."""
        if isinstance(function, FunctionType):
            self._label(
                function, _path(function), partial(self._function, function, own_defaults=own_defaults)
            )
            self._use(_home(function))
        else:
            self.parts["the step"] = digest_json(content(function, self._refer))
        while self._waiting:
            label, describe = self._waiting.popleft()
            self.parts[label] = digest_json(describe())

    # What a thing is called when code refers to it

    def _refer(self, thing: Value) -> object:
        if isinstance(thing, ModuleType):
            return self._module_named(thing)
        if isinstance(thing, FunctionType):
            return self._function_named(thing)
        if isinstance(thing, type) and is_project(_home(thing)):
            return {"code": self._label(thing, _path(thing), partial(self._class, thing))}
        inside = _carried(thing)
        if inside:
            kind = self._library(type(thing)) if type(thing) is not MethodType else "method"
            return {"carried": [kind, *(content(each, self._refer) for each in inside)]}
        return self._library(thing) if _is_library(thing) else self._instance(thing)

    def _module_named(self, module: ModuleType) -> object:
        if not is_project(module.__name__):
            return self._library(module)
        return {"code": self._label(module, module.__name__, partial(self._module, module))}

    def _function_named(self, function: FunctionType) -> object:
        if owner_of_file(function.__code__.co_filename) is Owner.PROJECT:
            return {"code": self._label(function, _path(function), partial(self._function, function))}
        cells = [_cell(cell) for cell in function.__closure__ or ()]
        inner = [each for each in cells if isinstance(each, FunctionType) and each is not function]
        around = [
            self._refer(each) for each in inner if owner_of_file(each.__code__.co_filename) is Owner.PROJECT
        ]
        return {"around": [self._library(function), around]} if around else self._library(function)

    def _library(self, thing: Value) -> object:
        module = thing.__name__ if isinstance(thing, ModuleType) else _home(thing) or _home(type(thing))
        self._use(module)
        name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", "")
        return {"library": f"{module}:{name}"}

    def _use(self, module: str) -> None:
        if owner_of_module(module) in (Owner.INSTALLED, Owner.ESTEIRA):
            self.versions |= distributions_of(module)

    def _instance(self, thing: Value) -> object:
        kind = type(thing)
        if isinstance(thing, float):
            return {"float": repr(float(thing))}
        try:
            return record(thing, self._refer, self._refer)
        except Unhashable:
            if owner_of_module(_home(kind)) not in _OURS or not hasattr(thing, "__dict__"):
                raise
        return {"instance": [self._refer(kind), content(dict(vars(thing)), self._refer)]}

    def _label(self, key: object, wanted: str, describe: Callable[[], object]) -> str:
        place = key if isinstance(key, tuple) else id(key)
        if place not in self._labels:
            label, count = wanted, 2
            while label in self._used:
                label, count = f"{wanted}#{count}", count + 1
            self._used.add(label)
            self._labels[place] = label
            self._alive.append(key)
            self._waiting.append((label, describe))
        return self._labels[place]

    # What a thing consists of

    def _function(self, function: FunctionType, *, own_defaults: bool = True) -> object:
        code = function.__code__
        source = self._source(code.co_filename)
        reading = (
            self._reading(source, code, function.__globals__, own_defaults=own_defaults) if source else None
        )
        closed = dict(zip(code.co_freevars, map(_cell, function.__closure__ or ()), strict=True))
        local = frozenset((*code.co_varnames, *code.co_cellvars))
        scope = _Scope(function.__globals__, closed, local, _path(function))
        defaults = [function.__defaults__, function.__kwdefaults__] if own_defaults else []
        text = reading.text if reading else compiled(code)
        names = self._names(reading or Reading([], names_in(code), {}, frozenset()), scope)
        return [text, names, [self._whatever(each) for each in defaults]]

    def _reading(
        self, source: Source, code: CodeType, names: Mapping[str, Any], *, own_defaults: bool
    ) -> Reading | None:
        """What the source of a function says; None if it is not what runs."""
        known = source.readings.get((code, own_defaults))
        if known is None:
            found = source.function(code)
            known = read([_bare(node, names, own_defaults=own_defaults) for node in found])
            source.readings[code, own_defaults] = known
        return known if known.text else None

    def _class(self, kind: type) -> object:
        module = sys.modules.get(_home(kind))
        file = getattr(module, "__file__", None) or ""
        source = self._source(file)
        reading = read(source.classes(kind.__qualname__) if source else ())
        scope = _Scope(vars(module) if module else {}, {}, frozenset(), _path(kind))
        methods = {
            name: self._function(function)
            for name, value in sorted(vars(kind).items())
            for function in _functions(value)
            if function.__code__.co_filename == file
            or (not file and function.__code__.co_filename != "<string>")
        }
        bases = [self._refer(base) for base in kind.__bases__ if base is not object]
        # by value too: what runs holds, should the file have been edited since it was loaded
        values = {
            name: self._whatever(value)
            for name, value in sorted(vars(kind).items())
            if _is_plain(name, value)
        }
        return [reading.text, self._names(reading, scope), bases, methods, values]

    def _module(self, module: ModuleType) -> object:
        file = getattr(module, "__file__", None) or ""
        source = self._source(file)
        if source is None:  # compiled by other means: its bytes are what it says
            return digest_json([file and Path(file).is_file() and Path(file).read_bytes().hex()])
        reading = read([source.tree])
        return [reading.text, self._names(reading, _Scope(vars(module), {}, frozenset(), module.__name__))]

    def _made(self, name: str, names: Mapping[str, Any], value: object) -> object:
        """A constant that has no content of its own is known by the statements that made it."""
        module = names.get("__name__", "")
        source = self._source(names.get("__file__") or "")
        reading = read(source.statements(name) if source else ())
        scope = _Scope(names, {}, frozenset((name,)), module)
        origin = reading.imports.get(name)
        if origin and origin.attribute:
            home = self._loaded(origin, scope)
            if home is not None and is_project(home.__name__) and origin.attribute in vars(home):
                by_value = not isinstance(value, _CONTAINERS)
                return self._named(origin.attribute, value, vars(home), by_value=by_value)
        kind = type(value)
        made_by = self._refer(kind) if is_project(_home(kind)) else self._library(kind)
        # not its imports and sinks: what a statement binds or changes is the constant itself
        return [reading.text, self._names(reading._replace(imports={}, sinks=frozenset()), scope), made_by]

    # Names in code

    def _names(self, reading: Reading, scope: _Scope) -> Mapping[str, object]:
        named: dict[str, object] = {}
        for chain in reading.chains:
            root, is_sink = chain[0], chain[0] in reading.sinks
            if root in reading.imports:
                named[".".join(chain)] = self._imported(chain, reading.imports[root], scope)
            elif root in scope.closed:
                named[".".join(chain)] = self._closed(chain, scope, is_sink=is_sink)
            elif root not in scope.local and root in scope.names:
                value = scope.names[root]
                named[".".join(chain)] = self._followed(chain, value, scope.names, by_value=not is_sink)
        return named

    def _followed(
        self, chain: Chain, value: Value, names: Mapping[str, Any], *, by_value: bool = True
    ) -> object:
        """Go through project modules to what is used: `helpers.clean` is `clean`, not all of helpers."""
        name = chain[0]
        for attribute in chain[1:]:
            if not isinstance(value, ModuleType) or not is_project(value.__name__):
                break
            inner = vars(value).get(attribute, sys.modules.get(f"{value.__name__}.{attribute}"))
            if inner is None:
                break
            name, value, names = attribute, inner, vars(value)
        return self._named(name, value, names, by_value=by_value)

    def _named(self, name: str, value: Value, names: Mapping[str, Any], *, by_value: bool = True) -> object:
        place = (names.get("__name__", ""), name)
        if place in self._labels:
            return {"code": self._labels[place]}
        self._use(_home(type(value)))
        wanted = f"{_module_name(names.get('__name__', ''), names.get('__file__'))}.{name}"
        try:
            if not by_value and isinstance(value, _CONTAINERS):
                raise Unhashable(type(value).__name__)
            found = content(value, self._refer)
        except Unhashable:
            return {"code": self._label(place, wanted, partial(self._made, name, names, value))}
        if isinstance(found, dict) and ("code" in found or "library" in found):
            return found
        return {"code": self._label(place, wanted, lambda: found)}

    def _closed(self, chain: Chain, scope: _Scope, *, is_sink: bool) -> object:
        value = scope.closed[chain[0]]
        if isinstance(value, ModuleType):
            return self._followed(chain, value, scope.names)
        if is_sink and isinstance(value, _CONTAINERS):
            return {"changes": type(value).__name__}
        try:
            return content(value, self._refer)
        except Unhashable as wrong:
            raise ClosedOver(scope.owner, chain[0], type(value).__qualname__) from wrong

    def _imported(self, chain: Chain, found: Import, scope: _Scope) -> object:
        home = self._loaded(found, scope)
        if home is None:
            return {"import": [found.module, found.level, found.attribute]}
        through = (found.attribute, *chain[1:]) if found.attribute else chain[1:]
        return self._followed((chain[0], *through), home, vars(home))

    def _loaded(self, found: Import, scope: _Scope) -> ModuleType | None:
        """The module that an import names. Only the project's own is loaded, as running the code would."""
        try:
            module = resolve_name("." * found.level + found.module, scope.names.get("__package__"))
            loads = module if found.level else found.loads
            if is_project(loads):
                load(f"{loads}:__name__")
                if found.attribute and found.attribute not in vars(sys.modules[module]):
                    load(f"{module}.{found.attribute}:__name__")
        except Exception:  # noqa: BLE001 - an optional import may fail in any way; the step will say so itself
            return None
        self._use(module)
        return sys.modules.get(module) if is_project(module) else None

    # Small questions

    def _whatever(self, value: object) -> object:
        try:
            return content(value, self._refer)
        except Unhashable:
            return None  # the expression that makes it is in the code

    def _source(self, file: str) -> Source | None:
        if file not in self._sources:
            self._sources[file] = source_of(file)
        return self._sources[file]


def _bare(node: ast.AST, names: Mapping[str, Any], *, own_defaults: bool) -> ast.AST:
    """A definition without `@step`, which changes nothing of what it computes."""
    node = copy.copy(node)
    if isinstance(node, ast.FunctionDef):
        node.decorator_list = [each for each in node.decorator_list if not _is_step(each, names)]
    if isinstance(node, ast.FunctionDef | ast.Lambda) and not own_defaults:
        node.args = copy.copy(node.args)
        node.args.defaults, node.args.kw_defaults = [], [None for _ in node.args.kw_defaults]
    return node


def _is_step(decorator: ast.expr, names: Mapping[str, Any]) -> bool:
    made_by = decorator.func if isinstance(decorator, ast.Call) else decorator
    root, *attributes = next(iter(chains([made_by])), ("",))
    value = names.get(root)
    for attribute in attributes:
        value = getattr(value, attribute, None)
    return (getattr(value, "__module__", ""), getattr(value, "__name__", "")) == _STEP


def _is_library(thing: Value) -> bool:
    if isinstance(thing, type | BuiltinFunctionType):
        return True
    is_named = callable(thing) and isinstance(getattr(thing, "__name__", None), str)
    return is_named and not isinstance(thing, GenericAlias) and not is_project(_home(type(thing)))


def _carried(thing: Value) -> list[Value]:
    """What a callable that is not a plain function calls, and with what."""
    if isinstance(thing, MethodType):
        return [thing.__func__, thing.__self__]
    if isinstance(thing, partial):
        return [thing.func, [*thing.args], dict(thing.keywords)]
    wrapped = getattr(thing, "__wrapped__", None)  # of a step, or what functools.lru_cache made of a function
    return [] if wrapped is None else [wrapped]


def _functions(value: Value) -> list[FunctionType]:
    inner = [getattr(value, name, None) for name in ("__func__", "fget", "fset", "fdel", "func")]
    return [each for each in (value, *inner) if isinstance(each, FunctionType)]


def _is_plain(name: str, value: Value) -> bool:
    """Whether an attribute of a class is a value of its own; names such as `__this__` are Python's."""
    is_code = isinstance(value, FunctionType | classmethod | staticmethod | property | type)
    return not name.endswith("_") and not is_code and not isinstance(value, _CONTAINERS)


def _cell(cell: Value) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not yet assigned
        return None


def _path(thing: Value) -> str:
    file = thing.__code__.co_filename if isinstance(thing, FunctionType) else None
    return f"{_module_name(_home(thing), file)}.{thing.__qualname__}"


def _home(thing: Value) -> str:
    module = getattr(thing, "__module__", None)  # none, when it was made by exec without one
    return module if isinstance(module, str) else ""


def _module_name(module: str, file: str | None) -> str:
    """A file run as a script is the same code as the file imported."""
    if module != "__main__":
        return module
    return Path(file or getattr(sys.modules["__main__"], "__file__", None) or module).stem
