"""Structured logs: one JSON object a line, on standard output, without secrets, tokens, ID numbers or record content."""

import asyncio
import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import orjson
import structlog

from common.clock import SystemClock


def without_messages(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """Give an exception's type and frames, never its message: messages quote values."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()
    if isinstance(error, BaseException):
        error = (type(error), error, error.__traceback__)
    if error and error[0]:
        frames, trace = [], error[2]
        while trace:
            code = trace.tb_frame.f_code
            frames.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno} {code.co_name}")
            trace = trace.tb_next
        event["exception"] = error[0].__name__
        event["frames"] = frames[-12:]
    return event


def render(logger: Any, level: str, event: MutableMapping[str, Any]) -> str:
    """Return the line of an event, as structlog's only processor: a chain of processors takes twice as long."""
    event["level"] = level
    event["timestamp"] = SystemClock().now().isoformat().replace("+00:00", "Z")
    if "exc_info" in event:
        without_messages(logger, level, cast("dict[str, Any]", event))
    return _line(logger, level, event)


def _line(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    try:
        return orjson.dumps(event, default=repr).decode()
    except TypeError:  # a number or a text that only Python has
        return json.dumps(event, default=repr)


FLUSH_INTERVAL = 0.05
"""Seconds that a line may wait for the next ones: a system call for each would be a tenth of a short request."""


class _Lines:
    """Writes several lines at once to the operating system; without an event loop, each by itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._due = False

    def write(self, text: str) -> None:
        """Take a line."""
        self._stream.write(text)

    def flush(self) -> None:
        """Write what was taken within `FLUSH_INTERVAL`."""
        if self._due:
            return
        try:
            asyncio.get_running_loop().call_later(FLUSH_INTERVAL, self._write_out)
        except RuntimeError:
            self._stream.flush()
        else:
            self._due = True

    def _write_out(self) -> None:
        self._due = False
        self._stream.flush()


def configure_logging(level: str = "info", stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's records as JSON to `stream`, by default standard output."""
    stream = stream or sys.stdout
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        without_messages,
    ]
    structlog.configure(
        processors=[render],
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Lines(stream))),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _line,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # Ten lines a second while a broker is away, and nothing that the bus itself does not say.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
