from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.web.stations import PROJECT, SETTINGS, lay_down

from esteira.base.optional import EXTRAS
from esteira.cli.main import VERBS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command

NEEDS_A_PROJECT = ("run", "up", "status", "deploy 1", "rollback", "trace x", "reproduce 1", "verify")


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_shows_an_example(esteira: Command, verb: str) -> None:
    code, out, err = esteira(verb, "--help")
    assert (code, err) == (0, "")
    assert f"example: esteira {verb}" in " ".join(out.split())
    assert "--json" in out


def test_help_names_every_verb_and_no_verb_is_bad_usage(esteira: Command) -> None:
    code, out, _ = esteira("--help")
    assert code == 0
    assert [verb for verb in VERBS if f"\n    {verb}" not in out] == []
    assert esteira()[0] == 2


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        ("stauts", "did you mean 'status'?"),
        ("zzz", "known: bench, convert, dataset"),
        ("deploy", "esteira deploy --help"),
        ("deploy three", "invalid int value: 'three'"),
        ("trace", "esteira trace --help"),
        ("status --frob", "unrecognized arguments: --frob"),
        ("--frob", "esteira --help"),
        ("up --every soon", "must be a number of seconds above 0, found 'soon'"),
    ],
)
def test_wrong_usage_ends_with_2_and_the_mend(esteira: Command, words: str, mend: str) -> None:
    code, out, err = esteira(*words.split())
    assert (code, out) == (2, "")
    assert mend in err
    assert err.startswith("esteira: ")
    assert len(err.splitlines()) <= 2


@pytest.mark.parametrize("words", NEEDS_A_PROJECT)
def test_outside_of_a_project_folder_the_file_is_named(esteira: Command, tmp_path: Path, words: str) -> None:
    code, out, err = esteira(*words.split(), "-C", tmp_path)
    assert (code, out) == (2, "")
    assert "esteira.toml" in err
    assert "esteira init NAME" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("[project\n", "is not valid TOML"),
        ("[project]\nnaem = 'x'\n", "did you mean 'name'?"),
        ("[gatway]\n", "did you mean 'gateway'?"),
        ("[gateway]\nport = 'high'\n", "must be int"),
        ("[stores]\ntables = 'paper:x'\n", "use one of: delta"),
        ("clock = 'sundial:'\n", "use one of: simulated, system"),
    ],
)
def test_settings_that_cannot_be_used_are_one_line(
    esteira: Command, tmp_path: Path, settings: str, said: str
) -> None:
    named = settings if "[project" in settings else f"{settings}\n[project]\nfile = 'tiny.py'\n"
    code, out, err = esteira("status", "-C", lay_down(tmp_path, named))
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_variable_that_nobody_knows_is_refused(
    esteira: Command, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESTEIRA_GATEWAY_PROT", "8080")
    code, _, err = esteira("status", "-C", empty_folder)
    assert code == 2
    assert "did you mean 'ESTEIRA_GATEWAY_PORT'?" in err


@pytest.mark.parametrize(
    ("project", "said"),
    [
        ("x = 1 / 0\n", "tiny.py: line 1: ZeroDivisionError"),
        ("def\n", "tiny.py: line 1: invalid syntax"),
        ("x = 1\n", "must define exactly one Project"),
        ("import nosuchmodule\n", "No module named 'nosuchmodule'"),
    ],
)
def test_a_project_file_that_breaks_is_one_line(
    esteira: Command, tmp_path: Path, project: str, said: str
) -> None:
    code, out, err = esteira("status", "-C", lay_down(tmp_path, project=project))
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_help_loads_no_vendor() -> None:
    program = (
        "import sys; from esteira.cli import main; main(['--help']); "
        f"print(sorted(set(sys.modules) & {set(EXTRAS) | {'numpy', 'pyarrow', 'rich'}!r}))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


# In a process of its own

COMMAND = [
    sys.executable,
    "-c",  # a shell that starts jobs in the background may have switched Ctrl-C off
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from esteira.cli import main; sys.exit(main())",
]


def hidden(vendor: str, folder: Path) -> dict[str, str]:
    """An environment in which a vendor cannot be imported, here and in every child."""
    folder.mkdir()
    text = f"import sys\nsys.modules[{vendor!r}] = None\n"
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    ("words", "vendor", "extra", "code"),
    [
        ("status", "deltalake", "delta", 2),
        ("reproduce 1", "mlflow", "mlflow", 2),
        ("run", "lightgbm", "lightgbm", 2),  # a step of the project failed
        ("up", "granian", "serving", 2),
        ("up", "jinja2", "web", 2),
    ],
)
def test_a_missing_extra_is_one_line_with_the_command_that_mends_it(
    tmp_path: Path, words: str, vendor: str, extra: str, code: int
) -> None:
    folder = lay_down(tmp_path / "project")
    ended = subprocess.run(
        [*COMMAND, *words.split(), "-C", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=hidden(vendor, tmp_path / "hide"),
        timeout=120,
    )
    assert ended.returncode == code, ended.stderr
    assert f"pip install 'esteira-ml[{extra}]'" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [("status", "--json"), ("status",)], ids=" ".join)
def test_a_reader_that_has_left_is_no_traceback(lived_folder: Path, words: tuple[str, ...]) -> None:
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [*COMMAND, *words, "-C", str(lived_folder)],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=buffered,
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_says_how_to_go_on(tmp_path: Path) -> None:
    waiting = PROJECT.replace(
        "    chance =", "    import pathlib, time\n    pathlib.Path(__file__).with_name('here').touch()\n"
        "    time.sleep(60)\n    chance =", 1
    )  # fmt: skip
    folder = lay_down(tmp_path, SETTINGS, waiting)
    running = subprocess.Popen([*COMMAND, "run", "-C", str(folder)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not (folder / "here").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert err == "esteira: interrupted; the same command resumes\n"
