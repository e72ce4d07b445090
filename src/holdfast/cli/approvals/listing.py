"""`holdfast approvals ls` and `show`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from rich.text import Text

from holdfast.cli.approvals.telling import print_task
from holdfast.cli.screen import clock, out, print_json, table
from holdfast.cli.services import run_id, with_services
from holdfast.cli.teller import preview
from holdfast.domain.rights import Role
from holdfast.service.list_tasks_to_decide import get_task_to_decide, list_tasks_to_decide

if TYPE_CHECKING:
    from holdfast.service.approval_shapes import ApprovalDetail, ApprovalPage, ApprovalView
    from holdfast.service.services import Services
    from holdfast.settings import Settings


def list_approvals(
    settings: Settings,
    *,
    everything: bool,
    mine: bool,
    run: str | None,
    ask: str | None,
    role: Role | None,
    tool: str | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """Print a page of what waits for people, oldest first.

    Raises:
        NotFound: there is no such run.
        MissingScope: `mine`, of one who decides nothing.
    """

    async def act(services: Services) -> ApprovalPage:
        return await list_tasks_to_decide(
            services,
            services.caller,
            run=None if run is None else await run_id(services, run),
            state=None if everything else "pending",
            mine=mine,
            ask=ask,
            role=role,
            tool=tool,
            cursor=cursor,
            limit=limit,
        )

    page = with_services(settings, act)
    if as_json:
        print_json(page)
        return
    if not page.items:
        out().print("Nothing waits for a decision." if not mine else "Nothing waits for a decision of yours.")
        return
    made = table("id", "asked", "kind", "state", "asks", "ends", "what")
    for task in page.items:
        made.add_row(
            str(task.id),
            clock(task.asked_at),
            task.kind,
            task.state,
            _asks(task),
            clock(task.expires_at) if task.expires_at else "",
            Text(f"{task.tool} {preview(task.args)}"),
        )
    out().print(made)
    if page.next:
        out().print(f"More: --after {page.next}", style="dim")


def _asks(task: ApprovalView) -> str:
    return f"{task.ask or 'anybody'}, {len(task.agreed)} of {task.needed}"


def show_approval(settings: Settings, approval: UUID, *, as_json: bool) -> None:
    """Print exactly what a decision would be about, who is asked, and what follows.

    Raises:
        NotFound: there is no such task.
    """

    async def act(services: Services) -> ApprovalDetail:
        return await get_task_to_decide(services, services.caller, approval)

    task = with_services(settings, act)
    if as_json:
        print_json(task)
    else:
        print_task(task)
