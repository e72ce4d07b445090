"""A run's row as readers get it, with how it ended."""

from __future__ import annotations

from typing import Any

from holdfast.domain import events as ev
from holdfast.domain.principal import Who
from holdfast.domain.state import RunState
from holdfast.service.budget_wait import budget_waited_for
from holdfast.service.contents import Contents
from holdfast.service.cost_views import CostView
from holdfast.service.event_view import ReadEvent
from holdfast.service.services import Services
from holdfast.service.views import ContentView, ErrorView, RunView, UsageView
from holdfast.store.ledger import read_run_ledger
from holdfast.store.runs import RunRow


def row_view(row: RunRow, **more: Any) -> RunView:
    """What the row alone says."""
    return RunView(
        id=row.id,
        task=row.task,
        task_version=row.task_version,
        state=row.state,
        waiting_on=row.waiting_on,
        wake_at=row.wake_at,
        session=row.session,
        principal=row.principal,
        requested_by=row.requested_by,
        parent=row.parent,
        priority=row.priority,
        cancelling=row.cancelling and not row.state.is_final,
        seq=row.seq,
        usage=UsageView(
            steps=row.steps,
            model_requests=row.model_requests,
            tool_calls=row.tool_calls,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
        ),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        updated_at=row.updated_at,
        **more,
    )


async def full_view(services: Services, who: Who, row: RunRow) -> RunView:
    """The run with its labels, its cost, why it waits, and, once it has ended, its output or error."""
    first = await services.journal(row.tenant, row.id, after=0, limit=1)
    accepted = ReadEvent.of(first[0]).event if first else None
    labels = accepted.labels if isinstance(accepted, ev.RunAccepted) else None
    ledger = await read_run_ledger(services.db, row.tenant, row.id)
    cost = CostView.of((kind, amounts) for (_, kind, _), amounts in ledger.items())
    if not row.state.is_final and row.state is not RunState.PARKED:
        return row_view(row, labels=labels, cost=cost)
    last = await services.journal(row.tenant, row.id, after=row.seq - 1, limit=1)
    contents = Contents(services, row)
    match ReadEvent.of(last[0]).event if last else None:
        case ev.RunParked() as parked if parked.waiting_on is row.waiting_on:
            budget = await budget_waited_for(services, who, row, parked)
            return row_view(row, labels=labels, cost=cost, why=parked.why, budget=budget)
        case ev.RunSucceeded() as end:
            return row_view(row, labels=labels, cost=cost, output=await contents.shown(end.output, whole=True))
        case ev.RunFailed() as end:
            message = await contents.shown(end.message) or ContentView()
            return row_view(
                row, labels=labels, cost=cost, error=ErrorView(error=end.error, message=message, place=end.place)
            )
        case _:
            return row_view(row, labels=labels, cost=cost)
