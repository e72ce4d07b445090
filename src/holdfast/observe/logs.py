"""Logs by structlog, on standard error: lines for people on a terminal, JSON elsewhere."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog
from structlog.tracebacks import ExceptionDictTransformer

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor


class StandardError:
    """Standard error as it is when a line is written, not when logs were set up: it may have been replaced since.

    A line that cannot be written is dropped. Standard error may be closed, or a pipe that nobody reads any more; a
    worker that then failed at saying that it lost its lease would go on with runs that are not its own.
    """

    def write(self, text: str) -> None:
        """Write, or drop."""
        with suppress(OSError, ValueError, AttributeError):  # broken; closed; there is none
            sys.stderr.write(text)

    def flush(self) -> None:
        """Flush, or let it be."""
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()


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
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", StandardError())),
        cache_logger_on_first_use=False,
    )


def logger(name: str, **fields: Any) -> FilteringBoundLogger:
    """A logger whose lines carry `room=name` and these fields."""
    return cast("FilteringBoundLogger", structlog.get_logger(room=name, **fields))
