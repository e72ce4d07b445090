"""`holdfast runs ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import typer

from holdfast.cli.screen import clock, out, print_json, table
from holdfast.cli.services import with_services
from holdfast.domain.state import RunState
from holdfast.service import list_runs as use_case

if TYPE_CHECKING:
    from holdfast.service.services import Services
    from holdfast.service.views import RunPage, RunView
    from holdfast.settings import Settings


def list_runs(
    settings: Settings,
    *,
    task: str | None,
    state: str | None,
    session: UUID | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """Print a page of runs, newest first."""
    if state is not None and state not in set(RunState):
        raise typer.BadParameter(f"It is one of {', '.join(RunState)}.", param_hint="--state")

    async def act(services: Services) -> RunPage:
        return await use_case.list_runs(
            services,
            services.caller,
            task=task,
            state=None if state is None else RunState(state),
            session=session,
            cursor=cursor,
            limit=limit,
        )

    page = with_services(settings, act)
    if as_json:
        print_json(page)
    else:
        _print(page)


def _print(page: RunPage) -> None:
    made = table("run", "task", "state", "started", "steps", "tokens", right=("steps", "tokens"))
    for run in page.items:
        tokens = run.usage.input_tokens + run.usage.output_tokens
        made.add_row(str(run.id), run.task, state_of(run), clock(run.created_at), str(run.usage.steps), str(tokens))
    out().print(made)
    if page.next:
        out().print(f"More: --after {page.next}", style="dim")


def state_of(run: RunView) -> str:
    """The state, with what a parked run waits for."""
    if run.state is RunState.PARKED and run.waiting_on is not None:
        return f"parked: {run.waiting_on}"
    return f"{run.state}, stopping" if run.cancelling and not run.state.is_final else str(run.state)
