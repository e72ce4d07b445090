"""Exit codes: stable, documented in `docs/cli.md`, one for each answer to "who acts next"."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script learns from how a command ended."""

    OK = 0
    """Done; of a run: it succeeded."""
    FAILED = 1
    """The run failed or was cancelled; the demo did not show what it promises; a policy's case is not as expected; the
    ledger is not what journals say; what a budget holds is not what is reserved of it."""
    USAGE = 2
    """The command line, or the input given on it, is wrong. Nothing was stored."""
    USER_ERROR = 3
    """The application, its policy or the configuration is wrong: the developer acts."""
    OPERATOR_ERROR = 4
    """Database, schema, roles or keys: whoever runs the installation acts."""
    NOT_FOUND = 5
    """There is no such run, session, task or approval."""
    CONFLICT = 6
    """Too late or not the same: decided already, ended already, key used for something else."""
    WAITS = 7
    """The run is kept and waits for a person; the message says for what."""
    FORBIDDEN = 8
    """Whoever asks may not: the message names the scope that is missing."""
    BUG = 70
    """A fault of Holdfast itself."""
    INTERRUPTED = 130
    """Ctrl-C. A run under way is kept."""


_BY_STATUS = {403: ExitCode.FORBIDDEN, 404: ExitCode.NOT_FOUND, 409: ExitCode.CONFLICT, 410: ExitCode.CONFLICT}


def code_for(error: BaseException) -> ExitCode:
    """The exit code that tells of `error`."""
    from holdfast.domain.errors import OperatorError, RequestError, UserError

    match error:
        case UserError():
            return ExitCode.USER_ERROR
        case OperatorError():
            return ExitCode.OPERATOR_ERROR
        case RequestError():
            return _BY_STATUS.get(error.status, ExitCode.USAGE)
        case _:
            return ExitCode.BUG
