"""One run, as it stands."""

from __future__ import annotations

from uuid import UUID

from holdfast.domain.principal import Who
from holdfast.service.existing import existing_run
from holdfast.service.run_view import full_view
from holdfast.service.services import Services
from holdfast.service.views import RunView


async def get_run(services: Services, who: Who, run: UUID) -> RunView:
    """The run with its labels and, once it has ended, its output or error.

    Raises:
        NotFound: there is no such run.
    """
    return await full_view(services, who, await existing_run(services, who, run))
