"""Errors that end a run with its cause and place. They are the run's, not the process's."""

from __future__ import annotations

from pydantic_ai.exceptions import ToolFailed

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


class AnswerCut(Exception):
    """A model's answer is not whole: a limit of the run's left it no more."""


class CallRefused(ToolFailed):
    """A call is not made; the message is for the model."""


class NotASuccess(HoldfastError):
    """The agent came to an end, with an output that is not what its task is for."""


class ModelUnpriced(HoldfastError):
    """A run's money is limited, and nobody can say what a request would cost at most: it is not sent."""
