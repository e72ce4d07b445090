"""The entry point: runs a command and turns whatever leaves it into a message and an exit code."""

from __future__ import annotations

import json
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from holdfast.cli.exits import ExitCode, code_for

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    from holdfast.cli.program import program

    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        program(given, prog_name="holdfast")
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes a message
        told = _single(error)
        code = code_for(told)
        _tell(told, code, given)
        sys.exit(code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    sys.exit(ExitCode.OK)


def _single(error: Exception) -> Exception:
    """The one error inside a group, as task groups wrap it."""
    found: Any = error
    while isinstance(found, ExceptionGroup) and len(found.exceptions) == 1:  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        found = found.exceptions[0]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return found  # pyright: ignore[reportUnknownVariableType]


def _tell(error: Exception, code: ExitCode, given: list[str]) -> None:
    """What happened and what to do, on standard error. As JSON where JSON was asked for."""
    options = given[: given.index("--")] if "--" in given else given
    if "--debug" in options:
        traceback.print_exception(error)
    message = str(error) if code is not ExitCode.BUG else _fault(error)
    if "--json" in options:
        told = {"error": type(error).__name__, "message": message, "exit_code": int(code)}
        sys.stderr.write(json.dumps(told) + "\n")
    else:
        sys.stderr.write(f"holdfast: {message}\n")


def _fault(error: Exception) -> str:
    return (
        f"a fault of Holdfast: {type(error).__name__}: {error}\n"
        "Runs are kept as they are. `holdfast --debug ...` shows where it happened; please report it with that."
    )
