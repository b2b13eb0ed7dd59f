"""The repository around the code: what a stranger reads and runs first, and what no file may hold."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import esteira
from esteira.base.optional import EXTRAS
from esteira.cli.main import VERBS

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
READMES = [ROOT / "README.md", ROOT / "README.pt-BR.md"]
RINGS = sorted((ROOT / "docs").glob("ring*.svg"))
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
REQUIREMENTS = {name: ROOT / "requirements" / f"{name}.txt" for name in ("uv", "build", "demo", "dev")}
TARGETS = ["setup", "demo", "test", "check", "lint", "bench", "clean"]
PARTS = [".ci", "benchmarks", "docs", "requirements", "src", "tests"]
MADE = {"__pycache__", ".mypy_cache", ".ruff_cache", ".hypothesis"}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _committed() -> list[Path]:
    """Every text file of the repository, without what tools have made."""
    found = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in PARTS:
        found += [
            path for path in (ROOT / folder).rglob("*") if path.is_file() and not MADE & set(path.parts)
        ]
    return [path for path in found if b"\0" not in path.read_bytes()[:4096]]


def _pins(name: str) -> dict[str, set[str]]:
    """Distribution → pinned versions; more than one where Python versions differ."""
    pins: dict[str, set[str]] = {}
    for found in re.finditer(r"^([\w.-]+)==(\S+)", _text(REQUIREMENTS[name]), re.MULTILINE):
        pins.setdefault(canonicalize_name(found[1]), set()).add(found[2])
    return pins


# make


def _make(*words: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    if path is not None:
        environment["PATH"] = str(path)
    make = shutil.which("make")
    assert make is not None
    return subprocess.run(
        [make, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def _tools(folder: Path, **pythons: str) -> Path:
    """A PATH with the few tools that make needs, and exactly the given Pythons."""
    folder.mkdir()
    for tool in ("rm", "cp", "mkdir", "touch"):
        found = shutil.which(tool)
        assert found is not None
        (folder / tool).symlink_to(found)
    for name, script in pythons.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def test_make_lists_every_target_with_its_purpose() -> None:
    listed = re.findall(r"^  make ([\w-]+) +\S", _make("help").stdout, re.MULTILINE)
    assert set(TARGETS) < set(listed)


def test_without_a_python_make_says_what_to_install(tmp_path: Path) -> None:
    old = "exit 1"  # what a Python 3.9 answers to the question
    ended = _make("setup", f"VENV={tmp_path}/venv", path=_tools(tmp_path / "bin", python3=old))
    assert ended.returncode == 2
    assert "esteira needs Python 3.11 or newer" in ended.stderr
    assert "make setup PYTHON=/path/to/python3" in ended.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(
    ("works", "chosen"),
    [
        (["python3", "python3.13", "python3.12"], "python3"),
        (["python3.11", "python3.13"], "python3.13"),
        (["python3.11"], "python3.11"),
    ],
)
def test_make_prefers_python3_and_takes_a_newer_one_when_it_is_too_old(
    tmp_path: Path, works: list[str], chosen: str
) -> None:
    told = tmp_path / "told"
    script = f'case "$*" in *venv\\ --clear*) echo "$0 $*" >> {told}; exit 9;; esac'
    pythons = {"python3": "exit 1", **dict.fromkeys(works, script)}
    venv = tmp_path / "venv"
    _make(f"{venv}/pyvenv.cfg", f"VENV={venv}", path=_tools(tmp_path / "bin", **pythons))
    assert _text(told).splitlines() == [f"{tmp_path}/bin/{chosen} -m venv --clear {venv}"]


def test_a_second_setup_does_nothing_and_a_changed_requirement_installs_again(tmp_path: Path) -> None:
    venv, told = tmp_path / "venv", tmp_path / "told"
    python = f"""echo "$*" >> {told}
if [ "$2" = venv ]; then mkdir -p $4/bin; cp $0 $4/bin/python; cp $0 $4/bin/uv; touch $4/pyvenv.cfg; fi"""
    path = _tools(tmp_path / "bin", python3=python)

    def installed(*words: str) -> list[str]:
        told.write_text("", encoding="utf-8")
        ended = _make("setup", f"VENV={venv}", *words, path=path)
        assert ended.returncode == 0, ended.stderr
        return re.findall(r"install .*(?:requirements/(\w+)\.txt|-e \.)$", _text(told), re.MULTILINE)

    assert installed() == ["uv", "build", "demo", "", "dev"]
    assert installed() == []
    assert installed("-W", "requirements/dev.txt") == ["dev"]
    assert installed("-W", "pyproject.toml") == ["", "dev"]
    (venv / "bin" / "python").unlink()  # the Python that it was made with is gone
    assert installed() == ["uv", "build", "demo", "", "dev"]


def test_the_ci_lints_and_then_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in _text(script)
    assert re.findall(r"^make .*$", _text(script), re.MULTILINE) == ["make lint", "make test"]


# requirements


@pytest.mark.parametrize("path", REQUIREMENTS.values(), ids=lambda path: path.stem)
def test_every_requirement_is_pinned_and_hashed_and_names_no_address(path: Path) -> None:
    for block in re.split(r"\n(?=\S)", _text(path).strip()):
        assert re.match(r"[\w.-]+==\S+( ; .*)? \\\n", block), block[:80]
        assert set(re.sub(r"sha256:[0-9a-f]{64}", "hash", block).split("\\\n")[1:]) <= {
            "    --hash=hash ",
            "    --hash=hash",
        }, block[:80]


def test_what_the_demo_needs_the_tests_have_in_the_same_version() -> None:
    demo, dev, build = _pins("demo"), _pins("dev"), _pins("build")
    assert demo.items() <= dev.items()
    assert {name: pin for name, pin in build.items() if dev.get(name, pin) != pin} == {}


IN_DEMO = PYPROJECT["project"]["optional-dependencies"]["demo"][0].partition("[")[2].rstrip("]").split(",")


@pytest.mark.parametrize(
    ("pinned", "wanted"),
    [
        ("build", PYPROJECT["build-system"]["requires"]),
        ("demo", PYPROJECT["project"]["dependencies"]),
        *(
            ("demo" if extra in IN_DEMO else "dev", PYPROJECT["project"]["optional-dependencies"][extra])
            for extra in sorted(set(EXTRAS.values()) - {"torch"})  # which is installed by name only
        ),
        ("dev", PYPROJECT["dependency-groups"]["dev"]),
    ],
)
def test_the_pins_satisfy_what_pyproject_asks_for(pinned: str, wanted: list[str]) -> None:
    pins = _pins(pinned)
    for each in map(Requirement, wanted):
        versions = pins.get(canonicalize_name(each.name), set())
        assert versions, f"{each.name} is not in requirements/{pinned}.txt; run: make requirements"
        assert all(each.specifier.contains(version) for version in versions), each


# README, CONTRIBUTING, CHANGELOG, LICENSE


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_a_readme_opens_with_what_it_is_one_picture_and_the_two_commands(path: Path) -> None:
    opening = _text(path).partition("\n## ")[0]
    assert opening.startswith("# esteira\n\n**")
    assert len(re.findall(r"!\[[^\]]{40,}\]\(docs/ring[\w.-]*\.svg\)", opening)) == 1
    assert re.findall(r"^make \w+", opening, re.MULTILINE) == ["make demo", "make test"]


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_a_readme_names_every_verb_of_the_command(path: Path) -> None:
    assert re.findall(r"^\| `esteira (\w+)", _text(path), re.MULTILINE) == list(VERBS)


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", _text(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _text(page)):
        if "://" in target:
            continue
        place, _, anchor = target.partition("#")
        found = page.parent / place if place else page
        assert found.exists(), target
        assert not anchor or anchor in _anchors(found), target


def test_the_readmes_example_is_a_project(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", _text(READMES[0]), re.MULTILINE | re.DOTALL)
    monkeypatch.syspath_prepend(str(ROOT / "src" / "esteira" / "project" / "templates" / "flights"))
    names: dict[str, object] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)  # the example is ours, and must run as it stands
    assert isinstance(names["project"], esteira.Project)


def _cards() -> dict[str, str]:
    cards = _text(ROOT / "CONTRIBUTING.md").partition("## Recipe cards")[2]
    return {part.partition("\n")[0]: part for part in cards.split("\n### ")[1:]}


def test_there_is_a_card_for_a_source_a_store_a_runtime_and_a_drift_test() -> None:
    assert {"Add a source", "Add an online store", "Add a runtime", "Add a drift test"} <= set(_cards())


@pytest.mark.parametrize("title", _cards())
def test_a_card_has_at_most_eight_steps_and_names_what_exists(title: str) -> None:
    card = _cards()[title]
    steps = [int(number) for number in re.findall(r"^(\d+)\. ", card, re.MULTILINE)]
    assert steps == list(range(1, len(steps) + 1))
    assert 3 <= len(steps) <= 8
    paths = [each for each in re.findall(r"`([\w./]+/[\w./]*)`", card) if "NAME" not in each]
    places = (ROOT, ROOT / "src" / "esteira")
    assert [each for each in paths if not any((place / each).exists() for place in places)] == []


def test_the_changelog_opens_with_what_is_not_yet_released() -> None:
    titles = re.findall(r"^## (.*)$", _text(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert titles[0] == "[Unreleased]"


def test_the_licence_is_whole_and_the_one_that_pyproject_names() -> None:
    text = _text(ROOT / "LICENSE")
    assert PYPROJECT["project"]["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


# docs


def test_decisions_are_numbered_without_a_gap_and_listed() -> None:
    assert [path.name[:4] for path in DECISIONS] == [
        f"{number:04}" for number in range(1, len(DECISIONS) + 1)
    ]
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", _text(ROOT / "docs" / "decisions" / "README.md"))
    assert listed == [path.name for path in DECISIONS]


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_context_decision_and_consequence(path: Path) -> None:
    text = _text(path)
    assert text.startswith(f"# {path.name[:4]} · ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequence"]
    assert len(text.splitlines()) <= 40


@pytest.mark.parametrize("path", RINGS, ids=lambda path: path.name)
def test_the_picture_stands_alone_and_is_told_in_words(path: Path) -> None:
    picture = ElementTree.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert {each.tag.removeprefix(space) for each in picture.iter()}.isdisjoint(
        {"script", "image", "foreignObject"}
    )
    assert not re.findall(r"(?:href|url\()", _text(path))
    assert "prefers-color-scheme: dark" in _text(path)
    told = picture.findtext(f"{space}desc") or ""
    names = [each.text or "" for each in picture.iter(f"{space}text") if each.get("class") == "name"]
    assert len(names) == 14
    assert [name for name in names if name.partition(" ")[0].lower() not in told.lower()] == []


# what no file may hold


def test_no_file_names_a_machine_an_index_or_a_lock() -> None:
    places = "|".join(("work", "root", "farm"))
    leaks = re.compile(
        rf"(?:^|[^\w.-])/(?:{places})/[A-Za-z.]"
        r"|index"
        r"-url|extra"
        r"-index|/sim"
        r'ple["/ ]|pythonhosted'
        r"\.org|[Ss]ub"
        r"agent",
        re.MULTILINE,
    )
    found = {
        path.relative_to(ROOT).as_posix(): hit[0]
        for path in _committed()
        if (hit := leaks.search(path.read_text(encoding="utf-8", errors="replace")))
    }
    assert found == {}
    assert [
        path.name for path in _committed() if path.name in {"uv.lock", "poetry.lock", "Pipfile.lock"}
    ] == []


def test_every_text_is_utf_8_without_carriage_returns_and_ends_its_last_line() -> None:
    for path in _committed():
        content = path.read_bytes()
        content.decode("utf-8")
        assert b"\r" not in content, path
        assert not content or content.endswith(b"\n"), path
