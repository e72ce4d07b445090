"""Errors that end a run with its cause and place. They are the run's, not the process's."""

from __future__ import annotations

from holdfast.domain.errors import HoldfastError


class RecordedToolError(HoldfastError):
    """A tool had raised, the worker died before the run ended: the same error again, from the journal."""

    def __init__(self, tool: str, error: str, message: str) -> None:
        super().__init__(message)
        self.tool = tool
        self.error = error


class ModelTimedOut(HoldfastError):
    """A model did not answer in time."""


class ToolTimedOut(HoldfastError):
    """A tool did not finish in time, and whether it took effect is not known."""


class ResultNotStored(HoldfastError):
    """A tool's result has no stored form."""


class ArgumentsChanged(HoldfastError):
    """What was about to be called is not what the intent said."""


class ApprovalMismatch(HoldfastError):
    """What was about to be called is not what a person approved."""
