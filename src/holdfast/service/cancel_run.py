"""Ask a run to stop."""

from __future__ import annotations

from uuid import UUID

from holdfast.domain.errors import AlreadyFinished
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.domain.state import RunState
from holdfast.service.deliver import deliver, seal_for
from holdfast.service.existing import existing_run
from holdfast.service.run_view import row_view
from holdfast.service.services import Services
from holdfast.service.views import RunView


async def cancel_run(services: Services, who: Who, run: UUID, *, reason: str | None = None) -> RunView:
    """Stop a run: from now on it starts nothing new, and it ends as soon as what is under way has.

    Asking again, or when the run is cancelled already, changes nothing.

    Raises:
        NotFound: there is no such run.
        AlreadyFinished: it ended otherwise.
    """
    row = await existing_run(services, who, run, Scope.RUNS_CONTROL)
    content = await seal_for(services, row, reason, what="reason")
    try:
        await deliver(services, who, row, "cancel", content, "cancel")
    except AlreadyFinished:
        ended = await existing_run(services, who, run, Scope.RUNS_CONTROL)
        if ended.state is not RunState.CANCELLED:
            raise
        return row_view(ended)
    return row_view(await existing_run(services, who, run, Scope.RUNS_CONTROL))
