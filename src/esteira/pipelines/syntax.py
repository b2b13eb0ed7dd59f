"""Source files as syntax: what the code says, without comments, docstrings and layout."""

from __future__ import annotations

import ast
import linecache
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

from esteira.pipelines.content import content

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Chain = tuple[str, ...]  # a name and the attributes read from it: helpers.clean is ("helpers", "clean")
_ADDS = frozenset(("add", "append", "appendleft", "extend", "insert", "setdefault", "update"))
_CHANGES = _ADDS | {"clear", "discard", "pop", "popitem", "remove", "reverse", "sort"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Source:
    """One parsed file; `codes` are its code objects by qualified name, as this interpreter compiles them."""

    tree: ast.Module
    codes: Mapping[str, Sequence[CodeType]]
    readings: dict[tuple[CodeType, bool], Reading] = field(default_factory=dict)  # a memo for whoever reads
    _found: dict[CodeType, tuple[ast.AST, ...]] = field(default_factory=dict)

    def function(self, code: CodeType) -> tuple[ast.AST, ...]:
        """The definitions that compile to a code object; none if the file has changed since it was loaded."""
        if code not in self._found:
            same = [each for each in self.codes.get(code.co_qualname, ()) if same_code(each, code)]
            self._found[code] = tuple(self._defined_at(same[0])) if same else ()
        return self._found[code]

    def classes(self, qualname: str) -> tuple[ast.ClassDef, ...]:
        """Every definition of a class of that qualified name."""
        return tuple(node for path, node in _classes(self.tree, "") if path == qualname)

    def statements(self, name: str) -> tuple[ast.stmt, ...]:
        """What the top of the file does with a name: everything that may have made it what it is."""
        return tuple(each for each in self.tree.body if name in _touched(each))

    def _defined_at(self, code: CodeType) -> Iterator[ast.AST]:
        for node in ast.walk(self.tree):
            if isinstance(node, _FUNCTIONS) and _first_line(node) == code.co_firstlineno:
                named = getattr(node, "name", "<lambda>")
                yield from (node,) if named == code.co_name else ()


class Reading(NamedTuple):
    """What a piece of code says, and which names it touches."""

    text: list[str]
    chains: tuple[Chain, ...]
    imports: Mapping[str, Import]
    sinks: frozenset[str]  # names of containers that it changes


def read(nodes: Sequence[ast.AST]) -> Reading:
    """Read pieces of syntax."""
    return Reading([spelled(node) for node in nodes], chains(nodes), imports(nodes), changed(nodes))


_parsed: dict[str, tuple[int, Source | None]] = {}


def source_of(file: str) -> Source | None:
    """The parsed file as it is now; None when there is no source, or none that parses."""
    linecache.checkcache(file)
    text = "".join(linecache.getlines(file))
    known = _parsed.get(file)
    if known is None or known[0] != hash(text):
        known = _parsed[file] = (hash(text), _parse(text, file) if text else None)
    return known[1]


def spelled(node: ast.AST) -> str:
    """The one spelling of a piece of syntax.

    >>> spelled(ast.parse("f( x )  # why")) == spelled(ast.parse("f(x)"))
    True
    """
    return ast.dump(node, annotate_fields=False)


def chains(nodes: Sequence[ast.AST]) -> tuple[Chain, ...]:
    """The names that code reads, each with the attributes it reads from it, sorted.

    >>> chains([ast.parse("helpers.clean(x)")])
    (('helpers', 'clean'), ('x',))
    """
    found: set[Chain] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        chain = _chain(node)
        if chain:
            found.add(chain)
        else:
            waiting.extend(ast.iter_child_nodes(node))
    return tuple(sorted(found))


def changed(nodes: Sequence[ast.AST]) -> frozenset[str]:
    """The names whose containers the code changes in place.

    >>> sorted(changed([ast.parse("seen.append(x); memo[x] = y; z = table[x]")]))
    ['memo', 'seen']
    """
    found = set()
    for node in (inner for each in nodes for inner in ast.walk(each)):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.value, ast.Name):
            is_write = isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load)
            if is_write or (isinstance(node, ast.Attribute) and node.attr in _CHANGES):
                found.add(node.value.id)
    return frozenset(found)


class Import(NamedTuple):
    """What an import inside code binds to a name: a module, or an attribute of one."""

    module: str
    level: int  # of leading dots
    attribute: str  # empty for the module itself
    loads: str  # `import a.b` binds a and loads a.b


def imports(nodes: Sequence[ast.AST]) -> Mapping[str, Import]:
    """The names that imports inside the code bind.

    >>> imports([ast.parse("from .text import clean as tidy")])["tidy"]
    Import(module='text', level=1, attribute='clean', loads='text')
    """
    found: dict[str, Import] = {}
    for node in (inner for each in nodes for inner in ast.walk(each)):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found |= {a.asname or a.name: Import(module, node.level, a.name, module) for a in node.names}
        elif isinstance(node, ast.Import):
            for a in node.names:
                bound = a.name if a.asname else a.name.partition(".")[0]
                found[a.asname or bound] = Import(bound, 0, "", a.name)
    return found


def names_in(code: CodeType) -> tuple[Chain, ...]:
    """The names that a code object without source may read."""
    codes = (code, *_inner(code))
    return tuple(sorted({(name,) for each in codes for name in (*each.co_names, *each.co_freevars)}))


def compiled(code: CodeType) -> list[object]:
    """A code object without source as JSON values: what it does, not where it stands."""
    constants = [
        compiled(each) if isinstance(each, CodeType) else content(each, repr) for each in code.co_consts
    ]
    names = [*code.co_names, "", *code.co_varnames, "", *code.co_freevars]
    return [code.co_code.hex(), names, constants, code.co_flags, code.co_argcount, code.co_kwonlyargcount]


def same_code(one: CodeType, other: CodeType) -> bool:
    """Whether two code objects do the same, wherever they stand in their file."""
    if _shape(one) != _shape(other) or len(one.co_consts) != len(other.co_consts):
        return False
    return all(map(_same_constant, one.co_consts, other.co_consts))


def _same_constant(one: object, other: object) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return same_code(one, other)
    return type(one) is type(other) and one == other


def _shape(code: CodeType) -> tuple[object, ...]:
    return (
        code.co_code,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_flags,
        code.co_argcount,
        code.co_kwonlyargcount,
    )


def _parse(text: str, file: str) -> Source | None:
    try:
        tree = ast.parse(text)
        module = compile(tree, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    codes: dict[str, list[CodeType]] = {}
    for code in _inner(module):
        codes.setdefault(code.co_qualname, []).append(code)
    for node in ast.walk(tree):  # after compiling: the running code has its docstrings
        _drop_docstring(node)
    return Source(tree, codes)


def _inner(code: CodeType) -> Iterator[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from _inner(each)


def _drop_docstring(node: ast.AST) -> None:
    if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:] or [ast.Pass()]


def _first_line(node: Any) -> int:  # noqa: ANN401 - any definition
    decorators = getattr(node, "decorator_list", ())
    line: int = (decorators[0] if decorators else node).lineno
    return line


def _chain(node: ast.AST) -> Chain:
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return (node.id, *reversed(attributes)) if isinstance(node, ast.Name) else ()


def _touched(statement: ast.stmt) -> set[str]:
    """The names at the top of a file that a statement binds or changes; a function's body runs later."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {a.asname or a.name.partition(".")[0] for a in statement.names}
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {each[0] for each in chains(statement.decorator_list)} | {statement.name}
    return {each.id for each in ast.walk(statement) if isinstance(each, ast.Name)}


def _classes(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.ClassDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield f"{prefix}{child.name}", child
            yield from _classes(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _classes(child, f"{prefix}{child.name}.<locals>.")
        else:
            yield from _classes(child, prefix)
