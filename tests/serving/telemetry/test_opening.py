from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.serving.worlds import project

from esteira.base.clock import SystemClock
from esteira.base.errors import BadInput
from esteira.serving.telemetry import open_exporter, open_observers
from esteira.serving.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.settings import Settings


def _settings(folder: Path, lines: str = "") -> Settings:
    return project(folder / "p", f'[project]\nname = "late"\n[telemetry]\n{lines}\n')


def test_by_default_nobody_listens_and_nothing_is_sent(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    assert open_observers(settings.telemetry, tmp_path / "access", "w1") == []
    assert open_exporter(settings, Metrics(), SystemClock(), None, []) is None
    assert not (tmp_path / "access").exists()


def test_what_is_switched_on_listens(tmp_path: Path) -> None:
    settings = _settings(tmp_path, 'access_log = true\ntraces = 0.5\notlp = "http://127.0.0.1:9"')
    observers = open_observers(settings.telemetry, tmp_path / "access", "w1")
    assert [each.name for each in observers] == ["access_log", "traces"]
    for each in observers:
        each.close()


def test_every_address_is_pushed_to_by_one_thread(tmp_path: Path) -> None:
    addresses = 'otlp = "http://127.0.0.1:9"\ndogstatsd = "127.0.0.1:9"\ntraces = 1.0'
    settings, metrics = _settings(tmp_path, addresses), Metrics(tmp_path / "8123", "w1")
    observers = open_observers(settings.telemetry, tmp_path / "access", "w1")
    exporter = open_exporter(settings, metrics, SystemClock(), tmp_path / "8123", observers)
    assert exporter is not None
    assert [each.name for each in exporter._pushes] == ["dogstatsd", "otlp_metrics", "otlp_traces"]
    exporter.close()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("traces = 0.5", "telemetry.traces needs a collector"),
        ('traces = 2\notlp = "http://127.0.0.1:9"', "share between 0 and 1"),
        ("access_log = true\naccess_log_files = 0", "access_log_files must be at least 1, found 0"),
        ("access_log = true\naccess_log_bytes = -1", "access_log_bytes must be at least 1, found -1"),
        ('dogstatsd = "127.0.0.1"', "must be host:port"),
        ('dogstatsd = "127.0.0.1:9"\npush_s = 0', "push_s must be more than 0"),
        ('dogstatsd = "127.0.0.1:9"\npush_s = nan', "push_s must be more than 0"),
        ('otlp = "collector"', "must be a base URL"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_before_anything_serves(
    tmp_path: Path, lines: str, message: str
) -> None:
    settings = _settings(tmp_path, lines)
    with pytest.raises(BadInput, match=message):
        open_exporter(
            settings,
            Metrics(),
            SystemClock(),
            None,
            open_observers(settings.telemetry, tmp_path / "access", "w1"),
        )


LOADS = """
import sys
from pathlib import Path
from esteira.base.settings import load_settings
from esteira.base.clock import SystemClock
from esteira.serving.telemetry import open_exporter, open_observers
from esteira.serving.telemetry.metrics import Metrics
settings = load_settings(Path(sys.argv[1]), {})
open_exporter(settings, Metrics(), SystemClock(), None, open_observers(settings.telemetry, Path("x"), "w1"))
print("opentelemetry" in sys.modules)
"""


@pytest.mark.parametrize(
    ("lines", "is_loaded"), [('dogstatsd = "127.0.0.1:9"', "False"), ('otlp = "http://127.0.0.1:9"', "True")]
)
def test_without_a_collector_nothing_of_opentelemetry_is_loaded(
    tmp_path: Path, lines: str, is_loaded: str
) -> None:
    root = _settings(tmp_path, lines).root
    command = [sys.executable, "-c", LOADS, str(root)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == is_loaded
