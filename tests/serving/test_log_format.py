"""JSON and text log lines."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from wbc.logs import JsonFormatter, TextFormatter, configure


def record(
    message: str = "request", fields: dict[str, object] | None = None, failed: bool = False
) -> logging.LogRecord:
    error = None
    if failed:
        try:
            int("two\nlines")
        except ValueError:
            error = sys.exc_info()
    made = logging.LogRecord("wbc.requests", logging.WARNING, __file__, 1, message, None, error)
    if fields is not None:
        made.fields = fields
    return made


def test_json_is_one_object_a_line() -> None:
    line = JsonFormatter().format(record(fields={"status": 200, "review": ["a"]}, failed=True))
    assert "\n" not in line
    told = json.loads(line)
    assert told["time"].endswith("+00:00")
    assert {name: told[name] for name in ("level", "logger", "message", "status", "review")} == {
        "level": "warning",
        "logger": "wbc.requests",
        "message": "request",
        "status": 200,
        "review": ["a"],
    }
    assert "ValueError: invalid literal" in told["exception"]


def test_message_cannot_forge_a_line() -> None:
    assert "\n" not in JsonFormatter().format(record('x\n{"level": "info"}'))


def test_text_names_the_fields() -> None:
    line = TextFormatter().format(record(fields={"status": 200, "route": "/predict"}))
    assert line.endswith('WARNING wbc.requests request status=200 route="/predict"')
    assert "ValueError" in TextFormatter().format(record(failed=True))


@pytest.fixture
def loggers() -> Iterator[None]:
    ours = logging.getLogger("wbc")
    kept = ours.handlers, ours.propagate, ours.level
    formats = [(handler, handler.formatter) for handler in logging.getLogger().handlers]
    yield
    ours.handlers, ours.propagate = kept[0], kept[1]
    ours.setLevel(kept[2])
    for handler, form in formats:
        handler.setFormatter(form)


@pytest.mark.usefixtures("loggers")
def test_level_and_stream(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "warning")
    logging.getLogger("wbc.requests").info("left out")
    logging.getLogger("wbc.requests").warning("told", extra={"fields": {"status": 503}})
    (line,) = capsys.readouterr().out.splitlines()
    assert (json.loads(line)["message"], json.loads(line)["status"]) == ("told", 503)
