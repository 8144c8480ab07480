"""Structured logs: one JSON object a line, secrets masked before they are written."""

import json
import logging
import logging.handlers
import queue
import re
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from nezha.dialects.urls import SECRET_PARAMETERS

# A name in percent-encoding may be any of them.
_SECRET = re.compile(
    rf"((?:^|[?&;])(?:{'|'.join(map(re.escape, sorted(SECRET_PARAMETERS)))}|[^=&;]*%[^=&;]*)=)[^&]*", re.IGNORECASE
)


def masked(target: str) -> str:
    """A request target whose signatures and tokens are replaced by `***`."""
    return _SECRET.sub(r"\1***", target) if "=" in target else target  # a client may have forgotten the `?`


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "details", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


_logger = logging.getLogger("nezha")
_access = logging.getLogger("nezha.access")


def configure(level: str, *, is_access_logged: bool = True, stream: TextIO = sys.stdout) -> Callable[[], None]:
    """Sends the log to `stream`, one JSON object a line, from a thread; gives what ends that.

    Other libraries' warnings go there too.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Lines())
    lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(lines, handler)
    logging.getLogger().handlers[:] = [_Queue(lines)]
    logging.getLogger().setLevel(logging.WARNING)
    _logger.setLevel(level.upper())
    _access.setLevel(logging.INFO if is_access_logged else logging.CRITICAL)
    listener.start()
    return listener.stop


class _Queue(logging.handlers.QueueHandler):
    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # the same process: nothing to pickle


def event(name: str, **details: object) -> None:
    """Logs one event with its details."""
    _logger.info(name, extra={"details": details})


def warn(name: str, **details: object) -> None:
    """Logs an event that an operator should see."""
    _logger.warning(name, extra={"details": details})


def failed(name: str, error: BaseException, **details: object) -> None:
    """Logs an error that nobody could handle, with its traceback."""
    _logger.error(name, exc_info=error, extra={"details": details})


def access(**details: object) -> None:
    """Logs one request."""
    if _access.isEnabledFor(logging.INFO):
        _access.info("request", extra={"details": details})
