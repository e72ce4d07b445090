"""`holdfast approvals ls` and `show`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from rich.text import Text

from holdfast.cli.screen import clock, out, print_json, table
from holdfast.cli.services import run_id, with_services
from holdfast.cli.teller import preview
from holdfast.service.list_tasks_to_decide import get_task_to_decide, list_tasks_to_decide
from holdfast.service.names import name_of

if TYPE_CHECKING:
    from holdfast.service.approval_shapes import ApprovalPage, ApprovalView
    from holdfast.service.services import Services
    from holdfast.settings import Settings


def list_approvals(
    settings: Settings, *, everything: bool, run: str | None, limit: int, cursor: str | None, as_json: bool
) -> None:
    """Print a page of what waits for people, oldest first.

    Raises:
        NotFound: there is no such run.
    """

    async def act(services: Services) -> ApprovalPage:
        of_run = None if run is None else await run_id(services, run)
        state = None if everything else "pending"
        return await list_tasks_to_decide(
            services, services.caller, run=of_run, state=state, cursor=cursor, limit=limit
        )

    page = with_services(settings, act)
    if as_json:
        print_json(page)
        return
    if not page.items:
        out().print("Nothing waits for a decision.")
        return
    made = table("id", "asked", "kind", "state", "what")
    for task in page.items:
        made.add_row(str(task.id), clock(task.asked_at), task.kind, task.state, f"{task.tool} {preview(task.args)}")
    out().print(made)
    if page.next:
        out().print(f"More: --after {page.next}", style="dim")


def show_approval(settings: Settings, approval: UUID, *, as_json: bool) -> None:
    """Print exactly what a decision would be about.

    Raises:
        NotFound: there is no such task.
    """

    async def act(services: Services) -> tuple[ApprovalView, str]:
        found = await get_task_to_decide(services, services.caller, approval)
        return found, await name_of(services, services.caller.tenant, found.decided_by or "-")

    task, by = with_services(settings, act)
    if as_json:
        print_json(task)
    else:
        print_task(task, by)


def print_task(task: ApprovalView, by: str = "-") -> None:
    """Print a human task and, where it is open, how to decide it; else who decided it."""
    screen = out()
    question = "May it be called?" if task.kind == "approval" else "Did it take place?"
    screen.print(Text(f"{task.tool}: {question}", style="bold"))
    screen.print(Text(preview(task.args, None)))
    if task.why:
        screen.print(Text(task.why))
    screen.print(Text(f"run {task.run}, asked {clock(task.asked_at)}, key {task.key or '-'}"))
    screen.print(Text(f"digest {task.digest}"))
    if task.state == "pending":
        choice = "--approve | --reject" if task.kind == "approval" else "--done JSON | --not-done | --fail"
        screen.print(Text(f"holdfast approvals decide {task.id} {choice}"))
    else:
        screen.print(Text(f"{task.state} by {by}, {clock(task.decided_at)}"))
