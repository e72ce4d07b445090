"""Wait until a run has ended."""

from __future__ import annotations

import asyncio
from uuid import UUID

from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.existing import existing_run
from holdfast.service.hearing import POLL_S, Hearing
from holdfast.service.run_view import full_view
from holdfast.service.services import Services
from holdfast.service.standing import Standing
from holdfast.service.views import RunView


async def wait_for_run(
    services: Services,
    who: Who | Standing,
    run: UUID,
    *,
    timeout_s: float | None = None,
    scope: Scope = Scope.RUNS_READ,
) -> RunView:
    """The run once it has ended, or as it stands after `timeout_s` seconds. None waits for as long as it takes.

    Raises:
        NotFound: there is no such run, or they may not see it any more.
        Unauthenticated, MissingScope: they are not let in any more, or lost the scope.
    """
    standing = who if isinstance(who, Standing) else Standing(who)
    loop = asyncio.get_running_loop()
    until = None if timeout_s is None else loop.time() + timeout_s
    with Hearing(services, run) as hearing:
        while True:
            await standing.changed()
            row = await existing_run(services, standing.who, run, scope)
            left_s = POLL_S if until is None else min(POLL_S, until - loop.time())
            if row.state.is_final or left_s <= 0:
                return await full_view(services, standing.who, row)
            await hearing.wait(left_s)
