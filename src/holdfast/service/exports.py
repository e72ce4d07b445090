"""How many exports a process gives at once: each holds a connection and an open snapshot for as long as it is read."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from uuid import UUID

from holdfast.domain.errors import RequestError

EXPORTS_MOST = 4
"""At once, of all tenants. Each is a connection beside those of the pool, and the server has few."""


class ExportUnderWay(RequestError):
    """The tenant is being exported already."""

    slug = "export-under-way"
    status = 409


class ExportsBusy(RequestError):
    """As many exports are under way as this process gives."""

    slug = "exports-busy"
    status = 503
    retry_after_s = 5


class Exports:
    """Those under way in this process.

    Args:
        most: of all tenants; of each it is one.
    """

    def __init__(self, most: int = EXPORTS_MOST) -> None:
        self._most = most
        self._tenants = set[UUID]()

    @contextmanager
    def of(self, tenant: UUID) -> Generator[None, None, None]:
        """The tenant's export is under way while the block runs.

        Raises:
            ExportUnderWay: it is already.
            ExportsBusy: too many others are.
        """
        if tenant in self._tenants:
            raise ExportUnderWay(
                "An export of your tenant is under way, and nothing was begun. Wait until it ends, or close its "
                "connection."
            )
        if len(self._tenants) >= self._most:
            raise ExportsBusy(
                "As many exports are under way as this server gives at once. Nothing was begun. Try again after the "
                "seconds in Retry-After."
            )
        self._tenants.add(tenant)
        try:
            yield
        finally:
            self._tenants.remove(tenant)
