"""The whole story of a run, for people."""

from __future__ import annotations

from uuid import UUID

from holdfast.domain import events as ev
from holdfast.domain.limits import NOT_COUNTED, Ceilings, ceiling_of, lowest, raised
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.domain.spent import Spent
from holdfast.service.approval_view import approval_view
from holdfast.service.contents import Contents
from holdfast.service.event_view import ReadEvent
from holdfast.service.existing import existing_run
from holdfast.service.names import names_of
from holdfast.service.run_view import full_view
from holdfast.service.services import Services
from holdfast.service.story import Story, actors_of
from holdfast.service.views import LimitView, StoryView
from holdfast.store import approvals
from holdfast.store.ceilings import get_ceilings

_WAITING_MOST = 200


async def show_run(services: Services, who: Who, run: UUID) -> StoryView:
    """Every step of a run with times, tokens, what it waited for and why, and what people have to decide.

    Raises:
        NotFound: there is no such run.
    """
    row = await existing_run(services, who, run)
    events = await services.journal(who.tenant, run)
    reads = [ReadEvent.of(stored) for stored in events]
    names = await names_of(services, who.tenant, {row.principal, *actors_of(reads)})
    story = Story(reads, names)
    plain = await Contents(services, row).plain(story.refs)
    pending = await approvals.list_approvals(
        services.db,
        who.tenant,
        by=who.principal,
        run=run,
        state="pending",
        newcomer_s=services.newcomer_s,
        limit=_WAITING_MOST,
    )
    return StoryView(
        run=await full_view(services, who, row),
        asked_by=names[row.principal],
        steps=story.views(plain),
        waiting=[await approval_view(services, who, one, Scope.RUNS_READ) for one in pending],
        limits=_limits(
            [read.event for read in reads if read.event is not None],
            {} if row.state.is_final else await get_ceilings(services.db, who.tenant),
        ),
    )


def _limits(events: list[ev.AnyEvent], tenants: Ceilings) -> list[LimitView]:
    """The limits of a run as its journal has them, under those of its tenant, and where it stands."""
    spent, ceilings = Spent.of(events), dict[str, int]()
    for event in events:
        if isinstance(event, ev.RunAccepted):
            ceilings = event.limits
        elif isinstance(event, ev.EscalationDecided):
            ceilings = raised(ceilings, [event.limits])
    return [
        LimitView(
            name=name,
            most=most,
            stood=None if name in NOT_COUNTED else spent.counts[name],
            set_by="run" if ceiling_of(ceilings, name) == most else "tenant",
        )
        for name, most in lowest(ceilings, tenants).items()
        if name != "writes:"
    ]
