"""Lines of the log: text for people or JSON for programs, each with the id of the request that it belongs to, and tracebacks without what people wrote."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone

from maisale.spans import origin
from maisale.tracebacks import where


class Formatter(logging.Formatter):
    """Lines of text; their tracebacks as `where` tells them."""

    def formatException(self, ei) -> str:
        return where(ei[1]) if ei[1] else ""

    def formatMessage(self, record: logging.LogRecord) -> str:
        if request_id := origin.get().request_id:
            record.message = f"[{request_id}] {record.message}"
        return super().formatMessage(record)


class JsonFormatter(Formatter):
    """An object a line. process: app, worker or decider."""

    def __init__(self, process: str):
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := origin.get().request_id:
            told["request_id"] = request_id
        if record.exc_info and record.exc_info[1]:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def formatter(log_format: str, process: str, text: str) -> logging.Formatter:
    """log_format: text or json. text: the form of a line of text."""
    return JsonFormatter(process) if log_format == "json" else Formatter(text)


def log_to_stderr(made: logging.Formatter) -> None:
    """This process's warnings and errors, and those of the libraries it uses."""
    handler = logging.StreamHandler()
    handler.setFormatter(made)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
