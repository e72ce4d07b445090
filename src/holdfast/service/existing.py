"""Looking a run up, in the one way that absent and foreign runs share."""

from __future__ import annotations

from uuid import UUID

from holdfast.domain.errors import NotFound
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.services import Services
from holdfast.store.runs import RunRow, get_run


async def existing_run(services: Services, who: Who, run: UUID, scope: Scope = Scope.RUNS_READ) -> RunRow:
    """The row of a run, as far as this scope of theirs reaches.

    Raises:
        NotFound: there is no such run for this tenant, or for this principal where it sees no others'.
        MissingScope: they lack the scope.
    """
    row = await get_run(services.db, who.tenant, run, only=who.only(scope))
    if row is None:
        raise no_run()
    return row


def no_run() -> NotFound:
    """The error that says so; it tells nothing of others' runs."""
    return NotFound("There is no run with this id. `GET /v1/runs` or `holdfast runs ls` lists the runs there are.")
