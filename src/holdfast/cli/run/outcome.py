"""How a run came out: its output on standard output, the rest beside it, and the exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from holdfast.cli.approvals.telling import choices
from holdfast.cli.exits import ExitCode
from holdfast.cli.screen import lasted, print_json
from holdfast.cli.teller import preview
from holdfast.domain.state import RunState
from holdfast.service.get_run import get_run
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide

if TYPE_CHECKING:
    from holdfast.cli.run.watch import Watching
    from holdfast.service.services import Services
    from holdfast.service.views import RunView


async def print_outcome(
    services: Services, watching: Watching, waiting: bool, *, app: str | None, as_json: bool
) -> ExitCode:
    """Print what became of the run, or what it waits for. `app`: by which to go on with it."""
    view = await get_run(services, services.caller, watching.run)
    if as_json:
        print_json(view)
    elif waiting:
        await _print_waiting(services, watching, view, app)
    else:
        _print_end(watching, view)
    return exit_code(view)


def exit_code(view: RunView) -> ExitCode:
    """The exit code that tells of a run's state."""
    if not view.state.is_final:
        return ExitCode.WAITS
    return ExitCode.OK if view.state is RunState.SUCCEEDED else ExitCode.FAILED


def _print_end(watching: Watching, view: RunView) -> None:
    say = watching.teller.say
    if view.error is not None:
        place = f" at {view.error.place}" if view.error.place else ""
        say(f"The run failed: {view.error.error}{place}: {preview(view.error.message, None)}")
    elif view.state is RunState.CANCELLED:
        say("The run was cancelled.")
    elif view.output is not None:
        text = preview(view.output, None)
        # On a terminal, a text that was just seen being written is not written again.
        if not (watching.teller.shows_text and sys.stdout.isatty() and text == watching.teller.text):
            print(text)  # noqa: T201 - the output is the command's output
    say(summary(view))


def summary(view: RunView) -> str:
    """A run in one line: how long, how much, where to look."""
    usage = view.usage
    took = ""
    if view.finished_at is not None:
        took = f"{lasted(round((view.finished_at - view.created_at).total_seconds() * 1000))}, "
    return (
        f"{took}{usage.model_requests} model requests, {usage.tool_calls} tool calls, "
        f"{usage.input_tokens} + {usage.output_tokens} tokens. `holdfast runs show {view.id}` tells every step."
    )


async def _print_waiting(services: Services, watching: Watching, view: RunView, app: str | None) -> None:
    pending = await list_tasks_to_decide(services, services.caller, run=view.id)
    for task in pending.items:
        choice = choices(task)
        watching.teller.say(f"   {task.tool} {preview(task.args, None)}")
        if task.ask:
            watching.teller.say(f"   asks {task.ask}: {len(task.agreed)} of {task.needed} agreed")
        watching.teller.say(f"   holdfast approvals decide {task.id} {choice}")
    watching.teller.say(
        f"The run is kept and goes on in any worker; `holdfast run {app} --resume {view.id}` goes on with it here."
    )
