"""How the service's log is written: a line an event, as text or as JSON. No event can write a second line."""

from __future__ import annotations

import datetime
import logging
from typing import Any

import msgspec

__all__ = ["JsonLines", "TextLines", "configuration"]

_encode = msgspec.json.Encoder().encode


class TextLines(logging.Formatter):
    """For people: time, level and message; a fault's traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`."""
        text = f"{_time(record)} {record.levelname:<7} {_plain(record.getMessage())}"
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            text += "".join(f"\n    {_plain(line)}" for line in trace.splitlines())
        return text


class JsonLines(logging.Formatter):
    """For programs: one JSON object a line. A request's fields stand beside the time, level and logger."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`."""
        line: dict[str, Any] = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        fields = getattr(record, "line", None)
        line.update(fields if fields is not None else {"message": record.getMessage()})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode({key: _sound(value) for key, value in line.items()}).decode()


def configuration(lines: str) -> dict[str, Any]:
    """What `logging.config.dictConfig` takes: everything to standard error, as `text` or `json`."""
    formatter = JsonLines if lines == "json" else TextLines
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": f"{formatter.__module__}.{formatter.__name__}"}},
        "handlers": {"lines": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "loggers": {
            "supervisor_guards": {"level": "INFO"},
            "uvicorn": {"level": "INFO"},
            # What a request's line and its answer say already.
            "uvicorn.access": {"level": "WARNING"},
        },
        "root": {"level": "WARNING", "handlers": ["lines"]},
    }


def _time(record: logging.LogRecord) -> str:
    when = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1_000:03}Z"


def _plain(text: str) -> str:
    """`text` without what ends a line, moves a terminal's cursor, or can't be written."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _sound(value: Any) -> Any:
    """A text with the lone surrogates that no encoder takes written out."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
