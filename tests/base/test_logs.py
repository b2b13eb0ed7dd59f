from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from esteira.base.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    logger = logging.getLogger("esteira")
    before = (logger.handlers, logger.level, logger.propagate)
    yield
    logger.handlers, logger.level, logger.propagate = before


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_facts_travel_as_fields_of_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    facts = {"model": "flight-delay", "version": 2}
    logging.getLogger("esteira.registry").info("model promoted", extra=facts)
    (line,) = _lines(capsys)
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "info", "logger": "esteira.registry", "message": "model promoted", **facts}


def test_a_failure_carries_its_traceback_in_the_same_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs()
    try:
        raise KeyError("origin")
    except KeyError:
        logging.getLogger("esteira.features").exception("no such key")
    (line,) = _lines(capsys)
    assert "KeyError: 'origin'" in str(line["error"])


def test_a_value_that_json_does_not_know_is_written_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs()
    logging.getLogger("esteira").warning("São Paulo", extra={"kind": KeyError})
    (line,) = _lines(capsys)
    assert (line["message"], line["kind"]) == ("São Paulo", "<class 'KeyError'>")


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("warning")
    logging.getLogger("esteira.base").info("too quiet")
    assert _lines(capsys) == []


def test_configuring_twice_does_not_say_things_twice(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs()
    configure_logs()
    logging.getLogger("esteira.base").warning("once")
    assert len(_lines(capsys)) == 1
