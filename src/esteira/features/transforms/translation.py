"""From the source of a function to an expression: the function itself never runs."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import textwrap
from functools import reduce
from typing import TYPE_CHECKING, Any, NoReturn

from esteira.features.transforms.subset import (
    ARITHMETIC,
    BOOLEAN,
    COMPARISONS,
    CONSTANTS,
    FUNCTIONS,
    OF_MANY,
    REFUSED,
    USUAL,
    OutsideSubset,
)
from esteira.registry.expressions import Draft
from esteira.registry.operations import WrongOperands

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FunctionType

    from esteira.registry.expressions import Expression
    from esteira.registry.operations import Kind


def translate(function: FunctionType, inputs: Mapping[str, Kind]) -> Expression:
    """The expression that a function stands for; its parameters are the inputs. Raises: OutsideSubset."""
    definition = _definition(function)
    given = definition.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    reader = _Reader(function, inputs)
    is_more = any((given.vararg, given.kwarg, given.defaults, *given.kw_defaults))
    if set(names) != set(inputs) or is_more:
        reader.refuse(definition, f"the parameters ({', '.join(names)})", _matching(inputs))
    return reader.read(definition.body)


def _matching(inputs: Mapping[str, Kind]) -> str:
    return f"they must be the inputs, without defaults: {', '.join(inputs)}"


def _definition(function: FunctionType) -> ast.FunctionDef:
    line = function.__code__.co_firstlineno
    try:
        lines, line = inspect.getsourcelines(function)
        (definition,) = ast.parse(textwrap.dedent("".join(lines))).body
    except (OSError, TypeError, ValueError, SyntaxError) as lost:
        mend = "define it in a file"
        raise OutsideSubset(function.__name__, line, "a function without its source", mend) from lost
    if not isinstance(definition, ast.FunctionDef):
        mend = "write a plain def"
        raise OutsideSubset(function.__name__, line, type(definition).__name__, mend)
    ast.increment_lineno(definition, line - 1)
    return definition


class _Reader:
    """One walk over the statements; `_names` holds the place of each local name that has a value."""

    def __init__(self, function: FunctionType, inputs: Mapping[str, Kind]) -> None:
        self._function = function
        self._draft = Draft(inputs)
        self._names = {name: place for place, name in enumerate(inputs)}

    def read(self, body: Sequence[ast.stmt]) -> Expression:
        """The function's statements, the last of which says the outputs."""
        is_documented = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
        *before, last = body[1:] if is_documented and len(body) > 1 else body
        for statement in before:
            self._statement(statement)
        if not isinstance(last, ast.Return) or not isinstance(last.value, ast.Dict):
            self.refuse(last, "an end without `return {…}`", "return a dict of the outputs by name")
        return self._draft.finish(self._outputs(last.value))

    def refuse(self, node: ast.AST, construct: str, mend: str) -> NoReturn:
        """Say what cannot be used, and where."""
        line = getattr(node, "lineno", self._function.__code__.co_firstlineno)
        raise OutsideSubset(self._function.__name__, line, construct, mend)

    def _unknown(self, node: ast.AST) -> NoReturn:
        self.refuse(node, *REFUSED.get(type(node), (f"`{ast.unparse(node)[:60]}`", USUAL)))

    def _outputs(self, returned: ast.Dict) -> dict[str, int]:
        outputs: dict[str, int] = {}
        for key, value in zip(returned.keys, returned.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(key.value, str) or not key.value:
                self.refuse(key or value, "an output without a fixed name", 'name it by a text: {"name": …}')
            if key.value in outputs:
                self.refuse(key, f"the output {key.value!r} twice", "name each output once")
            outputs[key.value] = self._value(value)
            if self._draft.kinds[outputs[key.value]] == "text":
                self.refuse(value, f"the text output {key.value!r}", "return numbers; compare the text first")
        if not outputs:
            self.refuse(returned, "a dict without outputs", "name at least one")
        return outputs

    # Statements

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._names[name] = self._value(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self._names[name] = self._value(value)
            case ast.AugAssign(target=ast.Name() as target, op=op, value=value):
                before = ast.copy_location(ast.Name(target.id), target)
                self._names[target.id] = self._value(ast.copy_location(ast.BinOp(before, op, value), node))
            case ast.If():
                self._if(node)
            case ast.Pass():
                pass
            case _:
                self._unknown(node)

    def _if(self, node: ast.If) -> None:
        condition, before = self._value(node.test), self._names
        branches = []
        for body in (node.body, node.orelse):
            self._names = dict(before)
            for statement in body:
                self._statement(statement)
            branches.append(self._names)
        then, other = branches
        self._names = {
            name: place if place == other[name] else self._add(node, "if", condition, place, other[name])
            for name, place in then.items()
            if name in other
        }

    # Expressions

    def _value(self, node: ast.expr) -> int:
        """The place of an expression's value."""
        reading = _READINGS.get(type(node))
        if reading is None:
            self._unknown(node)
        return reading(self, node)

    def _add(self, node: ast.AST, op: str, *places: int) -> int:
        try:
            return self._draft.add(op, *places)
        except WrongOperands as wrong:
            text = ast.unparse(node.test if isinstance(node, ast.If) else node)[:60]
            how = "; make a condition by a comparison, e.g. x > 0" if "condition" in wrong.expected else ""
            self.refuse(node, f"`{text}`", f"{wrong}{how}")

    def _constant(self, node: ast.expr, value: Any) -> int:  # noqa: ANN401 - whatever the code holds
        kind = CONSTANTS.get(type(value))
        if kind is None:
            what = f"{value!r:.40}, a {type(value).__name__}"
            self.refuse(node, what, "use numbers, texts, True, False and None, or hand it over as an input")
        if kind == "text" or value is None:
            return self._draft.constant(kind, value)
        if not abs(value) <= sys.float_info.max:
            self.refuse(node, f"{value!r:.40}", f"the largest number is {sys.float_info.max}")
        return self._draft.constant(kind, float(value))

    def _literal(self, node: ast.Constant) -> int:
        return self._constant(node, node.value)

    def _name(self, node: ast.Name) -> int:
        if node.id in self._names:
            return self._names[node.id]
        return self._constant(node, self._outside(node))

    def _outside(self, node: ast.Name) -> Any:  # noqa: ANN401 - whatever the module holds
        """What a name means outside the function."""
        code, missing = self._function.__code__, object()
        if node.id in code.co_varnames or node.id in code.co_cellvars:
            self.refuse(node, f"{node.id!r} before it has a value", "assign it before, in every branch")
        cells = dict(zip(code.co_freevars, self._function.__closure__ or (), strict=True))
        try:
            found = (
                cells[node.id].cell_contents
                if node.id in cells
                else self._function.__globals__.get(node.id, vars(builtins).get(node.id, missing))
            )
        except ValueError:  # a cell that has no content yet
            found = missing
        if found is missing and node.id in FUNCTIONS:
            return FUNCTIONS[node.id]
        if found is missing:
            self.refuse(node, f"the unknown name {node.id!r}", "hand it over as an input")
        return found

    def _binary(self, node: ast.BinOp) -> int:
        op = ARITHMETIC.get(type(node.op))
        if op is None:
            self.refuse(node, f"`{ast.unparse(node)[:60]}`", "bits are not numbers; use and, or, not")
        return self._add(node, op, self._value(node.left), self._value(node.right))

    def _unary(self, node: ast.UnaryOp) -> int:
        place = self._value(node.operand)
        if isinstance(node.op, ast.Not):
            return self._add(node, "not", place)
        if isinstance(node.op, ast.USub):
            return self._add(node, "negative", place)
        return self._unknown(node)

    def _boolean(self, node: ast.BoolOp) -> int:
        places = [self._value(each) for each in node.values]
        return reduce(lambda a, b: self._add(node, BOOLEAN[type(node.op)], a, b), places)

    def _conditional(self, node: ast.IfExp) -> int:
        return self._add(node, "if", *(self._value(each) for each in (node.test, node.body, node.orelse)))

    def _comparison(self, node: ast.Compare) -> int:
        sides = [node.left, *node.comparators]
        links = [
            self._link(node, op, left, right)
            for op, left, right in zip(node.ops, sides, sides[1:], strict=False)
        ]
        return reduce(lambda a, b: self._add(node, "and", a, b), links)

    def _link(self, node: ast.Compare, op: ast.cmpop, left: ast.expr, right: ast.expr) -> int:
        if isinstance(op, ast.NotEq | ast.NotIn | ast.IsNot):
            positive = {ast.NotEq: ast.Eq(), ast.NotIn: ast.In(), ast.IsNot: ast.Is()}[type(op)]
            return self._add(node, "not", self._link(node, positive, left, right))
        if isinstance(op, ast.In):
            return self._add(node, "in", self._value(left), *self._options(right))
        is_none = isinstance(right, ast.Constant) and right.value is None
        if isinstance(op, ast.Is) and is_none:
            return self._add(node, "is_null", self._value(left))
        if isinstance(op, ast.Is) or is_none:
            self.refuse(node, f"`{ast.unparse(node)[:60]}`", "write is_null(x), and == for values")
        one, other = self._value(left), self._value(right)
        if isinstance(op, ast.Gt | ast.GtE):
            one, other = other, one
        return self._add(node, COMPARISONS[type(op)], one, other)

    def _options(self, node: ast.expr) -> list[int]:
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            places = [self._value(each) for each in node.elts]
        else:
            held = None
            if isinstance(node, ast.Name) and node.id not in self._names:
                held = self._outside(node)
            if not isinstance(held, tuple | frozenset):
                self.refuse(node, f"`in {ast.unparse(node)[:60]}`", "name a tuple of numbers or of texts")
            places = [self._constant(node, each) for each in sorted(held, key=repr)]
        if not places or not all(map(self._draft.is_known, places)):
            self.refuse(node, f"`in {ast.unparse(node)[:60]}`", "give constants, or compare with ==")
        return places

    def _call(self, node: ast.Call) -> int:
        if not isinstance(node.func, ast.Name):
            self._unknown(node.func)
        name = node.func.id
        if name not in FUNCTIONS:
            self.refuse(node, f"a call of {name}", f"call only {', '.join(FUNCTIONS)}")
        if name in self._names or not _is_same(self._outside(node.func), FUNCTIONS[name]):
            self.refuse(node, f"a call of {name}, which is another function here,", "rename the other")
        is_enough = len(node.args) > 1 if name in OF_MANY else len(node.args) == 1
        if node.keywords or not is_enough:
            count = "two or more values" if name in OF_MANY else "one value"
            self.refuse(node, f"`{ast.unparse(node)[:60]}`", f"{name} takes {count}")
        places = [self._value(each) for each in node.args]
        if len(places) == 1:
            return self._add(node, name, *places)
        return reduce(lambda a, b: self._add(node, name, a, b), places)


def _is_same(found: object, meant: Callable[..., object]) -> bool:
    """Whether a name means that function, also after its module was loaded anew."""
    home, name = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
    return (home, name) == (meant.__module__, meant.__qualname__)


_READINGS: Mapping[type[ast.AST], Callable[[_Reader, Any], int]] = {
    ast.BinOp: _Reader._binary,
    ast.BoolOp: _Reader._boolean,
    ast.Call: _Reader._call,
    ast.Compare: _Reader._comparison,
    ast.Constant: _Reader._literal,
    ast.IfExp: _Reader._conditional,
    ast.Name: _Reader._name,
    ast.UnaryOp: _Reader._unary,
}
