"""Who stands behind a credential, as they are now. Everything else a caller is told about a bad one is nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from holdfast.domain.errors import TooManyAttempts, Unauthenticated
from holdfast.domain.ids import PLATFORM_TENANT
from holdfast.domain.principal import Who
from holdfast.identity.api_keys import PREFIX, ApiKey
from holdfast.identity.throttle import Throttle
from holdfast.store import audit, keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.store.pool import Database

_NOTED_S = 60.0
_NOTED_MOST = 1_000


@dataclass(slots=True)
class Gate:
    """Lets credentials in. One for each process that serves.

    Nothing about a principal is kept between requests: what was revoked is refused by the next.
    """

    db: Database
    clock: Callable[[], float] = time.monotonic
    _throttle: Throttle = field(init=False)
    _noted: dict[tuple[UUID, str, str], float] = field(init=False, default_factory=dict[tuple[UUID, str, str], float])

    def __post_init__(self) -> None:
        self._throttle = Throttle(self.clock)

    async def admit(self, credential: str | None, *, source: str) -> Who:
        """The principal behind a credential, with what both of them may.

        Args:
            credential: an API key or a token; None where none was sent.
            source: where the request comes from, for the audit log and to slow those down who guess.

        Raises:
            Unauthenticated: it is not accepted. The audit log says why, the caller is not told.
            TooManyAttempts: too many from there were not accepted; this one was not looked at.
        """
        if wait_s := self._throttle.wait_s(source):
            raise TooManyAttempts(wait_s)
        tenant = PLATFORM_TENANT
        try:
            if not credential:
                raise Unauthenticated("absent")
            if not credential.startswith(PREFIX):
                raise Unauthenticated("malformed")
            key = ApiKey.read(credential)
            if key is None:
                raise Unauthenticated("malformed")
            found = await keys.find_key(self.db, key.tenant, key.digest)
            if found is None:
                raise Unauthenticated("unknown")
            tenant = key.tenant
            return _let_in(tenant, found)
        except Unauthenticated as refusal:
            if refusal.reason != "absent":
                self._throttle.refused(source)
                await self._note(tenant, refusal.reason, source)
            raise

    async def _note(self, tenant: UUID, reason: str, source: str) -> None:
        """In the log of the tenant whose key it is; guesses are the platform's. The same one once a minute."""
        now, what = self.clock(), (tenant, reason, source)
        if now - self._noted.get(what, -_NOTED_S) < _NOTED_S:
            return
        if len(self._noted) >= _NOTED_MOST:
            self._noted.clear()
        self._noted[what] = now
        await audit.note(
            self.db, tenant, actor="anonymous", action="credential.refused", target=source, details={"reason": reason}
        )


def _let_in(tenant: UUID, found: keys.FoundKey) -> Who:
    if found.revoked:
        raise Unauthenticated("revoked")
    if found.expired:
        raise Unauthenticated("expired")
    if found.disabled:
        raise Unauthenticated("disabled")
    return Who.of(found.owner(tenant), found.narrowed())
