from __future__ import annotations

import json
import logging
import os
import resource
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.telemetry.exchanges import exchange, wait_for

from esteira.base.errors import StorageUnwritable
from esteira.serving.telemetry.access_log import AccessLog

if TYPE_CHECKING:
    from pathlib import Path


def _log(folder: Path, **changed: Any) -> AccessLog:
    return AccessLog(folder, "w1", **{"max_bytes": 1_000_000, "files": 3, "flush_s": 0.01, **changed})


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_line_says_who_answered_what_and_how_long_it_took(tmp_path: Path) -> None:
    log = _log(tmp_path)
    log.answered(exchange())
    log.close()
    assert _lines(log.path) == [
        {
            "time": "2013-07-01T12:00:00.000000+00:00",
            "worker": "w1",
            "method": "POST",
            "route": "/v2/models/{model}/infer",
            "protocol": "oip",
            "status": 200,
            "seconds": 0.0015,
            "predict_seconds": 0.0005,
            "bytes_in": 120,
            "bytes_out": 60,
            "rows": 1,
            "model": "late",
            "version": "3",
            "arm": "champion",
            "caller": "pricing",
        }
    ]


def test_nothing_that_a_client_chose_is_written(tmp_path: Path) -> None:
    log = _log(tmp_path)
    log.answered(
        exchange(method="MARIA-529.982.247-25", traceparent="00-" + "5" * 32 + "-" + "2" * 16 + "-01")
    )
    log.close()
    text = log.path.read_text()
    assert '"method":"OTHER"' in text
    assert "529" not in text
    assert "5555" not in text


def test_lines_are_on_disk_soon_without_a_close(tmp_path: Path) -> None:
    log = _log(tmp_path)
    log.answered(exchange())
    wait_for(lambda: log.path.stat().st_size > 0)
    log.close()


def test_a_full_file_gives_way_and_only_so_many_are_kept(tmp_path: Path) -> None:
    log, last = _log(tmp_path, max_bytes=1), tmp_path / "access-0.1.jsonl"

    def is_written(status: int) -> bool:
        return last.exists() and f'"status":{status}' in last.read_text() and log.path.exists()

    for status in range(200, 206):
        log.answered(exchange(status=status))
        wait_for(partial(is_written, status))
    log.close()
    found = {path.name: [each["status"] for each in _lines(path)] for path in tmp_path.glob("*.jsonl")}
    assert found == {"access-0.jsonl": [], "access-0.1.jsonl": [205], "access-0.2.jsonl": [204]}


def _is_dropped(log: AccessLog, lines: int) -> bool:
    return log.dropped == lines


def test_one_file_alone_begins_anew(tmp_path: Path) -> None:
    log = _log(tmp_path, max_bytes=10, files=1)
    log.answered(exchange())
    log.close()
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["access-0.jsonl"]
    assert log.path.read_bytes() == b""


def test_workers_write_files_of_their_own_and_the_next_run_goes_on_with_them(tmp_path: Path) -> None:
    one, other = _log(tmp_path), _log(tmp_path)
    assert [one.path.name, other.path.name] == ["access-0.jsonl", "access-1.jsonl"]
    one.answered(exchange(status=201))
    one.close()
    again = _log(tmp_path)
    again.answered(exchange(status=202))
    again.close()
    other.close()
    assert [each["status"] for each in _lines(one.path)] == [201, 202]


def test_a_line_that_a_kill_cut_does_not_spoil_the_next(tmp_path: Path) -> None:
    (tmp_path / "access-0.jsonl").write_bytes(b'{"status":200}\n{"stat')
    log = _log(tmp_path)
    log.answered(exchange(status=204))
    log.close()
    assert [each["status"] for each in _lines(log.path)] == [200, 204]


DIES = """
import os, sys, time
from pathlib import Path
from tests.serving.telemetry.exchanges import exchange
from esteira.serving.telemetry.access_log import AccessLog
log = AccessLog(Path(sys.argv[1]), "w1", max_bytes=10**6, files=2, flush_s=0.01)
log.answered(exchange())
while not log.path.stat().st_size:
    time.sleep(0.01)
os.kill(os.getpid(), 9)
"""


def test_what_was_flushed_survives_a_kill_and_the_file_is_free_again(tmp_path: Path) -> None:
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False, env=where)
    assert ended.returncode == -9
    log = _log(tmp_path)
    log.close()
    assert log.path.name == "access-0.jsonl"
    assert len(_lines(log.path)) == 1


def test_a_full_disk_loses_lines_that_are_counted_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = _log(tmp_path, flush_s=0.005)
    log.answered(exchange(status=200))
    wait_for(lambda: log.path.stat().st_size > 0)
    size = log.path.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with caplog.at_level(logging.ERROR, "esteira"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, before[1]))
        try:
            for dropped in (1, 2):
                log.answered(exchange(status=500))
                wait_for(partial(_is_dropped, log, dropped))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log.answered(exchange(status=201))
    log.close()
    assert [each["status"] for each in _lines(log.path)] == [200, 201]
    assert log.dropped == 2
    assert caplog.text.count("the access log is not written") == 1


def test_a_queue_that_is_full_drops_and_a_line_that_cannot_be_written_spoils_no_other(tmp_path: Path) -> None:
    log = _log(tmp_path, flush_s=60.0, capacity=2)
    for caller in ("\ud800", "fine", "too many"):
        log.answered(exchange(caller=caller))
    log.close()
    log.answered(exchange())
    assert [each["caller"] for each in _lines(log.path)] == ["fine"]
    assert log.dropped == 3


def test_a_folder_that_cannot_be_made_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnwritable):
        _log(tmp_path / "file" / "access")
