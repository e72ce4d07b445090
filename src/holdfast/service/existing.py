"""Looking a run up, in the one way that absent and foreign runs share."""

from __future__ import annotations

from uuid import UUID

from holdfast.domain.errors import NotFound
from holdfast.service.services import Services, Who
from holdfast.store.runs import RunRow, get_run


async def existing_run(services: Services, who: Who, run: UUID) -> RunRow:
    """The row of a run.

    Raises:
        NotFound: there is no such run for this tenant.
    """
    row = await get_run(services.db, who.tenant, run)
    if row is None:
        raise no_run()
    return row


def no_run() -> NotFound:
    """The error that says so; it tells nothing of other tenants' runs."""
    return NotFound("There is no run with this id. `GET /v1/runs` or `holdfast runs ls` lists the runs there are.")
