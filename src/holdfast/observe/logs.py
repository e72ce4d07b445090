"""Logs by structlog, on standard error: lines for people on a terminal, JSON elsewhere."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, cast

import structlog
from structlog.tracebacks import ExceptionDictTransformer

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor


def set_up_logs(level: str = "info", format_: str = "auto") -> None:
    """Configure structlog for this process.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        format_: `console`, `json`, or `auto`: console when standard error is a terminal.
    """
    as_json = format_ == "json" or (format_ == "auto" and not sys.stderr.isatty())
    # Tracebacks without local variables: these hold what users said to their agents.
    renderers: list[Processor] = (
        [
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
        if as_json
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def logger(name: str, **fields: Any) -> FilteringBoundLogger:
    """A logger whose lines carry `room=name` and these fields."""
    return cast("FilteringBoundLogger", structlog.get_logger(room=name, **fields))
