"""Source files as syntax."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.pipelines.syntax import (
    Import,
    chains,
    changed,
    compiled,
    imports,
    names_in,
    same_code,
    source_of,
    spelled,
)

if TYPE_CHECKING:
    from pathlib import Path
    from types import FunctionType

TEXT = '''"""Doc."""
from lib import thing as other
LIMIT = 3  # why
if LIMIT:
    TABLE = {}
TABLE["a"] = LIMIT

def clean(x):
    """Doc."""
    return x + LIMIT

@TABLE.setdefault
def registered(x): return [lambda y: y, lambda z: z * 2]

class Outer:
    class Inner:
        def method(self): return 1
'''


def loaded(path: Path, text: str = TEXT) -> dict[str, FunctionType]:
    path.write_text(text, encoding="utf-8")
    scope: dict[str, FunctionType] = {"lib": None, "__name__": "m"}
    exec(
        compile(
            text.replace("from lib import thing as other", "other = 1"), str(path), "exec", dont_inherit=True
        ),
        scope,
    )
    return scope


def test_a_running_function_is_found_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    clean = loaded(path)["clean"]
    source = source_of(str(path))
    assert source is not None
    (node,) = source.function(clean.__code__)
    assert spelled(node) == spelled(ast.parse("def clean(x):\n    return x + LIMIT").body[0])


def test_a_function_whose_file_has_changed_since_is_not_found(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    clean = loaded(path)["clean"]
    path.write_text(TEXT.replace("x + LIMIT", "x - LIMIT"), encoding="utf-8")
    source = source_of(str(path))
    assert source is not None
    assert source.function(clean.__code__) == ()
    path.write_text("# moved\n\n" + TEXT, encoding="utf-8")
    moved = source_of(str(path))
    assert moved is not None
    assert len(moved.function(clean.__code__)) == 1


def test_classes_and_statements_are_found_by_name(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(TEXT, encoding="utf-8")
    source = source_of(str(path))
    assert source is not None
    assert [node.name for node in source.classes("Outer.Inner")] == ["Inner"]
    assert [type(each).__name__ for each in source.statements("TABLE")] == ["If", "Assign", "FunctionDef"]
    assert [type(each).__name__ for each in source.statements("other")] == ["ImportFrom"]
    assert source.statements("x") == ()


def test_a_file_without_source_or_sense_has_none(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def", encoding="utf-8")
    assert source_of(str(broken)) is None
    assert source_of(str(tmp_path / "missing.py")) is None
    assert source_of("<string>") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("f(x)", "f( x )  # why"),
        ("x = 'a'", 'x = "a"'),
        ("x = (1 +\n 2)", "x = 1 + 2"),
    ],
)
def test_layout_and_comments_are_no_syntax(one: str, other: str) -> None:
    assert spelled(ast.parse(one)) == spelled(ast.parse(other))


names = st.sampled_from(["a", "b", "c"])


@given(names, names, st.integers(0, 3))
def test_different_syntax_is_spelled_differently(one: str, other: str, number: int) -> None:
    left, right = f"{one}({number})", f"{other}({number})"
    assert (spelled(ast.parse(left)) == spelled(ast.parse(right))) == (left == right)


def test_names_are_read_with_their_attributes() -> None:
    tree = ast.parse("a.b.c(d)[e.f] + g().h")
    assert chains([tree]) == (("a", "b", "c"), ("d",), ("e", "f"), ("g",))


def test_imports_inside_code_are_known() -> None:
    text = "import a.b\nimport c.d as e\nfrom .f import g as h\nfrom i import j"
    assert imports([ast.parse(text)]) == {
        "a": Import("a", 0, "", "a.b"),
        "e": Import("c.d", 0, "", "c.d"),
        "h": Import("f", 1, "g", "f"),
        "j": Import("i", 0, "j", "i"),
    }


def test_containers_that_code_changes_are_known() -> None:
    assert changed([ast.parse("a.append(1); b[0] = 1; del c[0]; d.get(1); e[0]; f[0] += 1")]) == set("abcf")


def test_code_without_source_is_known_by_what_it_does() -> None:
    scope: dict[str, FunctionType] = {}
    text = "def f(x): return [helper(y) for y in x if y in {'a', 'b'}]\n"
    exec(text, scope)
    one = scope["f"].__code__
    exec("\n\n" + text, scope)
    moved = scope["f"].__code__
    exec(text.replace("'b'", "'c'"), scope)
    other = scope["f"].__code__
    assert ("helper",) in names_in(one)
    assert compiled(one) == compiled(moved) != compiled(other)
    assert same_code(one, moved)
    assert not same_code(one, other)
