"""What the database asked to be told with the intents of a tenant: told unasked from then on, for a while."""

from __future__ import annotations

import asyncio
from uuid import UUID

_KEPT_S = 60.0


class Asked:
    """The tenants of which the database asked for something that most appends need not say."""

    def __init__(self) -> None:
        self._until: dict[UUID, float] = {}

    def note(self, tenant: UUID) -> None:
        """It asked."""
        self._until[tenant] = asyncio.get_running_loop().time() + _KEPT_S

    def forget(self) -> None:
        """Tell nothing unasked."""
        self._until.clear()

    def is_so(self, tenant: UUID) -> bool:
        """Whether it asked lately."""
        if not self._until:
            return False
        if self._until.get(tenant, 0.0) > asyncio.get_running_loop().time():
            return True
        self._until.pop(tenant, None)
        return False
