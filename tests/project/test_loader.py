from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import lay

from esteira.base.clock import EPOCH
from esteira.base.errors import MissingExtra, NotFound
from esteira.project.ingesting import read_source
from esteira.project.loader import ProjectFileBroken, load_project

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """
from esteira import Project, step

@step
def train() -> int: return 1
@step
def holdout() -> int: return 1
@step
def model() -> int: return 1

{name} = Project("{project}", steps=[train, holdout, model])
"""


def written(folder: Path, text: str, name: str = "project.py") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def one(project: str = "late", name: str = "project") -> str:
    return PROJECT.format(project=project, name=name)


def broken(path: Path) -> str:
    with pytest.raises(ProjectFileBroken) as refusal:
        load_project(path)
    assert str(path) in str(refusal.value)
    return refusal.value.reason


def test_the_one_project_of_a_file_is_found_whatever_its_name(tmp_path: Path) -> None:
    assert load_project(written(tmp_path, one(name="anything"))).name == "late"


def test_the_sample_project_loads_and_its_steps_know_their_types(tmp_path: Path) -> None:
    project = load_project(lay(tmp_path) / "pumps.py")
    assert [each.returns.__name__ for each in project.steps][-2:] == ["Model", "Model"]


def test_two_names_of_one_project_are_one_project(tmp_path: Path) -> None:
    assert load_project(written(tmp_path, one() + "\nagain = project\n")).name == "late"


def test_a_file_that_is_not_there_says_where_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"under \[project\] file in esteira\.toml"):
        load_project(tmp_path / "project.py")


def test_a_file_that_is_no_python_is_refused(tmp_path: Path) -> None:
    assert "give it the ending .py" in broken(written(tmp_path, one(), "project.txt"))


def test_a_file_without_a_project_says_so(tmp_path: Path) -> None:
    assert broken(written(tmp_path, "x = 1\n")) == "must define exactly one Project, found 0"


def test_a_file_with_two_projects_says_so(tmp_path: Path) -> None:
    both = one("one", "one") + one("two", "two")
    assert broken(written(tmp_path, both)) == "must define exactly one Project, found 2"


def test_a_syntax_error_is_named_with_its_line(tmp_path: Path) -> None:
    assert broken(written(tmp_path, "x = 1\ny = = 2\n")) == "line 2: invalid syntax; correct that line"


def test_a_syntax_error_in_a_neighbour_is_named_with_its_file(tmp_path: Path) -> None:
    neighbour = written(tmp_path, "x = (\n", "helpful_neighbour.py")
    reason = broken(written(tmp_path, "import helpful_neighbour\n"))
    assert reason == f"in {neighbour}, line 1: '(' was never closed; correct that line"


def test_what_a_file_raises_is_named_with_the_line_that_led_to_it(tmp_path: Path) -> None:
    text = "def f():\n    return 1 / 0\n\nf()\n"
    assert broken(written(tmp_path, text)) == "line 2: ZeroDivisionError: division by zero; correct that line"


def test_a_wrong_project_is_named_with_the_line_and_the_mend(tmp_path: Path) -> None:
    text = one().replace("model])", 'model], baseline="modle")')
    assert "UnknownName: unknown step 'modle'; did you mean 'model'?" in broken(written(tmp_path, text))


def test_a_file_that_ends_the_process_is_refused_like_any_other(tmp_path: Path) -> None:
    assert "SystemExit: 3" in broken(written(tmp_path, "import sys\nsys.exit(3)\n"))


def test_a_missing_extra_says_its_own_mend(tmp_path: Path) -> None:
    text = "from esteira.base.errors import MissingExtra\nraise MissingExtra('lightgbm')\n"
    with pytest.raises(MissingExtra, match=r"pip install 'esteira-ml\[lightgbm\]'"):
        load_project(written(tmp_path, text))


def test_a_broken_file_leaves_no_module_behind(tmp_path: Path) -> None:
    broken(written(tmp_path, "raise ValueError\n", "half.py"))
    assert "esteira_project_half" not in sys.modules


def test_a_project_file_may_import_its_neighbours(tmp_path: Path) -> None:
    written(tmp_path, "NAME = 'from-next-door'\n", "good_neighbour.py")
    text = "from good_neighbour import NAME\n" + one().replace('"late"', "NAME")
    assert load_project(written(tmp_path, text)).name == "from-next-door"


def test_a_file_of_a_source_is_found_from_wherever_the_project_is_opened(tmp_path: Path) -> None:
    (tmp_path / "pumps.csv").write_text("pump,seen\na,2013-07-01T10:00:00Z\n", encoding="utf-8")
    source = 'TableSource("pumps", FileSource("pumps.csv", published="seen"))'
    imports = "from esteira import Project, TableSource\nfrom esteira.data import FileSource\n"
    project = load_project(written(tmp_path, f'{imports}project = Project("late", [], [{source}])\n'))
    rows = read_source(project.tables[0], EPOCH, datetime(2014, 1, 1, tzinfo=UTC))
    assert rows["pump"].to_pylist() == ["a"]
