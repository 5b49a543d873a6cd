"""Log lines as JSON or text; they never contain pixels, file names, keys or texts of reports."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

BENTOML_LOGGERS = ("", "bentoml", "uvicorn.error", "circus")
"""Loggers that BentoML adds handlers to, the root first."""


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time (UTC), level, logger, message, and the fields of `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """The same as text: the message, then `name=value`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - name of the base class
        """Format a record without its exception."""
        fields = getattr(record, "fields", {})
        pairs = " ".join(f"{name}={json.dumps(value, default=str)}" for name, value in fields.items())
        return f"{super().formatMessage(record)} {pairs}".rstrip()


def configure(form: Literal["json", "text"], level: str) -> None:
    """Send the log of this process to standard output, including BentoML's, in one format."""
    formatter = JsonFormatter() if form == "json" else TextFormatter()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    ours = logging.getLogger("wbc")
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(level.upper())
    for name in BENTOML_LOGGERS:
        for other in logging.getLogger(name).handlers:
            other.setFormatter(formatter)
