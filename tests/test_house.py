"""The rules of the house that no linter holds: sizes, mirrors, faces, errors, and what start-up loads."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import esteira
from esteira.base.errors import EsteiraError
from esteira.base.optional import EXTRAS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "esteira"
SOURCES = sorted(PACKAGE.rglob("*.py"))
OURS = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "benchmarks").rglob("*.py"))]
FACES = [
    path for path in SOURCES if path.name == "__init__.py" and path.parent.parent in {PACKAGE, ROOT / "src"}
]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HEAVY = {*EXTRAS, "pandas", "numpy", "pyarrow"}
PICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


def _named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), _named(path))


def _functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [
        node for node in ast.walk(_tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _modules() -> list[str]:
    found = pkgutil.walk_packages(esteira.__path__, "esteira.")
    return [
        each.name for each in found if not each.name.endswith("__main__") and ".templates." not in each.name
    ]


# Size


def test_a_file_tells_one_story() -> None:
    lines = {_named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in OURS}
    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_half_of_the_source_files_fit_in_120_lines() -> None:
    lines = sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES)
    assert lines[len(lines) // 2] <= 120


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_a_function_fits_on_a_screen() -> None:
    long = {
        f"{_named(path)}:{function.name}": _body_lines(function)
        for path in OURS
        for function in _functions(path)
        if _body_lines(function) > 40
    }
    assert long == {}


def test_a_function_has_at_most_six_arguments_or_says_why_not() -> None:
    many = {}
    for path in SOURCES:
        lines = path.read_text(encoding="utf-8").splitlines()
        for function in _functions(path):
            given = function.args
            names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            count = len([name for name in names if name not in {"self", "cls"}])
            if count > 6 and "noqa: PLR0913 - " not in lines[function.lineno - 1]:
                many[f"{_named(path)}:{function.name}"] = count
    assert many == {}


# Mirrors


def test_every_source_file_has_its_namesake_test() -> None:
    without = []
    for path in SOURCES:
        inside = path.relative_to(PACKAGE)
        if path.name in {"__init__.py", "__main__.py", "port.py"} or "templates" in inside.parts:
            continue
        if not (ROOT / "tests" / inside.parent / f"test_{path.name}").is_file():
            without.append(_named(path))
    assert without == []


def test_tests_are_no_package() -> None:
    assert [_named(path) for path in (ROOT / "tests").rglob("__init__.py")] == []


def test_a_test_is_named_by_what_it_shows() -> None:
    short = [
        f"{_named(path)}:{function.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for function in _functions(path)
        if function.name.startswith("test_") and function.name.count("_") < 2
    ]
    assert short == []


# Faces


def _defined(path: Path) -> set[str]:
    """The names that a file defines at its top level, imports left out."""
    names = set()
    for node in _tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def _own_names(path: Path) -> set[str]:
    """What a face binds for its users: its definitions, and what it takes from its own room."""
    room, bound = _module(path), _defined(path)
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{room}."):
            # The root takes `load` from base for itself; what it shows, it says "as".
            bound |= {each.asname or each.name for each in node.names if each.asname or room != "esteira"}
    return {name for name in bound if not name.startswith("_")}


@pytest.mark.parametrize("path", FACES, ids=_module)
def test_a_face_names_exactly_what_it_binds(path: Path) -> None:
    face = importlib.import_module(_module(path))  # noqa: TID251 - a test of every face
    named = list(getattr(face, "__all__", []))
    assert set(named) - {"__version__"} == _own_names(path)
    assert [name for name in named if not hasattr(face, name)] == []


def test_our_own_files_import_the_defining_file_and_never_a_face() -> None:
    faces = {_module(path): _defined(path) | {each.stem for each in path.parent.iterdir()} for path in FACES}
    wrong = [
        f"{_named(path)}:{node.lineno}"
        for path in SOURCES
        if path.name != "__main__.py" and "templates" not in path.parts
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ImportFrom) and node.module in faces
        if not {each.name for each in node.names} <= faces[node.module]
    ]
    assert wrong == []


# Errors


def test_every_error_of_ours_descends_from_the_root() -> None:
    strays = set()
    for name in _modules():
        module = importlib.import_module(name)  # noqa: TID251 - a test of every module
        for kind in vars(module).values():
            is_ours = inspect.isclass(kind) and kind.__module__.startswith("esteira.")
            if is_ours and issubclass(kind, BaseException) and not issubclass(kind, EsteiraError):
                strays.add(f"{kind.__module__}.{kind.__qualname__}")
    assert strays == set()


def test_nobody_raises_or_catches_everything() -> None:
    vague = [
        f"{_named(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and node.exc.func.id in {"Exception", "BaseException", "RuntimeError"}
    ]
    assert vague == []


# Start-up and vendors


def _loaded(*command: str) -> set[str]:
    """The top-level modules that a fresh Python loads for a command, by its own import log."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    lines = [
        line.rpartition("|")[2].strip()
        for line in ended.stderr.splitlines()
        if line.startswith("import time:")
    ]
    return {name.partition(".")[0] for name in lines}


@pytest.mark.parametrize(
    "command",
    [("-c", "import esteira"), ("-m", "esteira", "--help")],
    ids=["import esteira", "esteira --help"],
)
def test_start_up_loads_no_vendor_and_no_table_library(command: tuple[str, ...]) -> None:
    loaded = _loaded(*command)
    assert "esteira" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("path", FACES, ids=_module)
def test_a_face_loads_no_vendor(path: Path) -> None:
    assert _loaded("-c", f"import {_module(path)}") & {*EXTRAS, "pandas"} == set()


# Gigabytes: nobody gets it with `all`, and the tests take a build without CUDA (Makefile).
BY_NAME_ONLY = {"torch"}


def test_every_vendor_has_its_extra() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"]
    assert {vendor: extra for vendor, extra in EXTRAS.items() if extra not in extras} == {}
    assert set(extras) == {*EXTRAS.values(), "demo", "all"}
    demo, everything = (
        {*re.fullmatch(r"esteira-ml\[(.*)]", extras[name][0])[1].split(",")} for name in ("demo", "all")
    )
    assert demo < set(EXTRAS.values())
    assert (everything - {"demo"}) | demo == set(EXTRAS.values()) - BY_NAME_ONLY
    assert "demo" in everything


def _promised_importers() -> dict[str, tuple[str, ...]]:
    """Extra → the files that its comment in pyproject.toml names."""
    lines = re.findall(
        r"^(\w+) = \[.*\]\s+# (.*)$", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE
    )
    files = {extra: tuple(re.findall(r"[\w/]+(?:\.py|/)", comment)) for extra, comment in lines}
    return {extra: names for extra, names in files.items() if extra in EXTRAS.values()}


def _imported(path: Path) -> set[str]:
    """Top-level modules that a file imports, or loads by name."""
    names = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "load":
            names |= {ast.unparse(each).strip("f'\"") for each in node.args[:1]}
    return {re.split(r"[.:]", name)[0] for name in names}


def test_a_vendor_is_imported_only_where_pyproject_says() -> None:
    promised = _promised_importers()
    assert set(promised) == set(EXTRAS.values())
    wrong = []
    for path in SOURCES:
        inside = path.relative_to(PACKAGE).as_posix()
        for extra in {EXTRAS[vendor] for vendor in _imported(path) & set(EXTRAS)}:
            if not inside.startswith(promised[extra]):
                wrong.append(f"{inside} imports what belongs to [{extra}]: {', '.join(promised[extra])}")
    assert wrong == []


def test_every_file_that_pyproject_promises_exists() -> None:
    promised = [name for names in _promised_importers().values() for name in names]
    assert [name for name in promised if not (PACKAGE / name).exists()] == []


# Walls


def test_the_walls_between_the_rooms_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]


def test_nothing_is_unpickled() -> None:
    assert [_named(path) for path in OURS if _imported(path) & PICKLES] == []
    pickled = r"allow_pickle\s*=\s*True|read_pickle|to_pickle|\.loads?_pickle"
    calls = re.compile(pickled + r"|pyfunc[\w. ]*load_model")
    found = [_named(path) for path in SOURCES if calls.search(path.read_text(encoding="utf-8"))]
    # The process of a model that the operator has allowed to run code; it is never the gateway's.
    assert found == ["src/esteira/serving/runtimes/pyfunc_child.py"]


def test_only_one_file_loads_by_name() -> None:
    by_name = re.compile(r"import_module|__import__|spec_from_file_location|exec_module|\bexec\(|\beval\(")
    found = {_named(path) for path in SOURCES if by_name.search(path.read_text(encoding="utf-8"))}
    # The loader runs the user's own project file, which is the one thing that has no name to import.
    assert found <= {"src/esteira/base/optional.py", "src/esteira/project/loader.py"}


def test_domain_time_comes_from_a_clock() -> None:
    wall = re.compile(r"datetime\.now\(|time\.time(?:_ns)?\(|utcnow\(|date\.today\(")
    found = {_named(path) for path in SOURCES if wall.search(path.read_text(encoding="utf-8"))}
    # The two others name and age files by the clock of the disk; no record of theirs holds that time.
    assert found <= {
        f"src/esteira/{name}.py" for name in ("base/clock", "monitoring/segments", "pipelines/artifacts")
    }
