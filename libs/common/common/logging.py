"""Structured logs: one JSON object a line, on standard output, without secrets, tokens, ID numbers or record content."""

import logging
import sys
from typing import Any, TextIO

import structlog

__all__ = ["configure_logging", "without_messages"]


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


def configure_logging(level: str = "info", stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's records as JSON to `stream`, by default standard output."""
    stream = stream or sys.stdout
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        without_messages,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(ensure_ascii=False)],
        logger_factory=structlog.WriteLoggerFactory(stream),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # Ten lines a second while a broker is away, and nothing that the bus itself does not say.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
