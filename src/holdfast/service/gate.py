"""Who stands behind a credential, as they are now. Everything else a caller is told about a bad one is nothing."""

from __future__ import annotations

import time
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

import uuid_utils.compat

from holdfast.domain.errors import TooManyAttempts, Unauthenticated
from holdfast.domain.ids import PLATFORM_TENANT
from holdfast.domain.principal import Who
from holdfast.domain.rights import Role
from holdfast.identity.api_keys import PREFIX, ApiKey
from holdfast.identity.reasons import Reason
from holdfast.identity.throttle import Throttle, neighbourhood
from holdfast.store import audit, identities, keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.identity.claims import Claims
    from holdfast.identity.tokens import TokenVerifier
    from holdfast.store.pool import Database

_NOTED_S = 60.0
_NOTED_MOST = 1_000


_NO_GUESS = frozenset({"absent", Reason.EXPIRED, Reason.KEYS_UNAVAILABLE})
"""Refusals of honest callers: no credential yet, a token that ran out, a provider that is away. Nobody has to wait for
those."""


class _Refused(Exception):
    """Why, and in whose log it belongs: guesses are the platform's."""

    def __init__(self, reason: str, tenant: UUID = PLATFORM_TENANT) -> None:
        super().__init__(reason)
        self.reason, self.tenant = str(reason), tenant


@dataclass(slots=True)
class Gate:
    """Lets credentials in. One for each process that serves.

    Nothing about a principal is kept between requests: what was revoked is refused by the next.
    """

    db: Database
    tokens: TokenVerifier | None = None
    """None where no issuer is configured."""
    woken: Callable[[], None] = lambda: None
    """Told when somebody has signed in anew: runs may go on that waited for it."""
    new_id: Callable[[], UUID] = uuid_utils.compat.uuid7
    clock: Callable[[], float] = time.monotonic
    _throttle: Throttle = field(init=False)
    _noted: dict[tuple[UUID, str, str], float] = field(init=False, default_factory=dict[tuple[UUID, str, str], float])

    def __post_init__(self) -> None:
        self._throttle = Throttle(self.clock)

    def on(self, db: Database) -> Gate:
        """The same gate by other connections: who guesses at one of them has to wait at both."""
        twin = copy(self)
        twin.db = db
        return twin

    async def admit(self, credential: str | None, *, source: str) -> Who:
        """The principal behind a credential, with what both of them may.

        A valid one is let in wherever it comes from: behind one address there may be many, and one that guesses must
        not lock the others out. So each is looked at. That costs one indexed read, or the check of one signature and,
        if it holds, one read: less than to have received the request. What could cost more, to fetch an issuer's keys,
        is bounded where it is done. Guesses are not slowed down to keep them from succeeding, for which 256 bits are
        enough, but to send them away.

        Args:
            credential: an API key or a token; None where none was sent.
            source: the address that the request comes from, for the audit log and to tell those who guess to wait.

        Raises:
            Unauthenticated: it is not accepted. The audit log says why, the caller is not told.
            TooManyAttempts: nor is it, and too many from there were not accepted before. That says even less: not
                whether one was sent, nor whether it was a guess.
        """
        place = neighbourhood(source)
        wait_s = self._throttle.wait_s(place)
        try:
            if not credential:
                raise _Refused("absent")
            return await self._by(credential)
        except _Refused as refusal:
            # One that has to wait is counted whatever the reason: else the next Retry-After would tell of it.
            if wait_s or refusal.reason not in _NO_GUESS:
                self._throttle.refused(place)
            if credential:
                await self._note(refusal.tenant, refusal.reason, place)
            if wait_s:
                raise TooManyAttempts(wait_s) from None
            raise Unauthenticated(refusal.reason) from None

    async def again(self, credential: str) -> Who:
        """One who was admitted, as they are now: for an answer that goes on.

        It is no guess, so nobody has to wait for it and no log tells it.

        Raises:
            Unauthenticated: the credential is not accepted any more.
        """
        try:
            return await self._by(credential)
        except _Refused as refusal:
            raise Unauthenticated(refusal.reason) from None

    async def _by(self, credential: str) -> Who:
        return await (self._by_key if credential.startswith(PREFIX) else self._by_token)(credential)

    async def _by_key(self, text: str) -> Who:
        key = ApiKey.read(text)
        if key is None:
            raise _Refused("malformed")
        found = await keys.find_key(self.db, key.tenant, key.digest)
        if found is None:
            raise _Refused("unknown")
        for ended, reason in ((found.revoked, "revoked"), (found.expired, "expired"), (found.disabled, "disabled")):
            if ended:
                raise _Refused(reason, key.tenant)
        return Who.of(found.owner(key.tenant), found.narrowed())

    async def _by_token(self, text: str) -> Who:
        if self.tokens is None:
            raise _Refused("malformed")
        try:
            claims = await self.tokens.verify(text)
        except Unauthenticated as refusal:
            raise _Refused(refusal.reason) from None
        found = await self._meant(claims)
        if isinstance(found, identities.Unseen) or found.issued_at < claims.issued_at:
            found = await self._log_in(found.tenant, claims)
        if found.disabled:
            raise _Refused("disabled", found.tenant)
        return Who.of(found.owner())

    async def _meant(self, claims: Claims) -> identities.Identity | identities.Unseen:
        found = await identities.find_identity(self.db, claims.tenant, claims.issuer, claims.subject)
        if found is None:
            raise _Refused(Reason.NO_TENANT)
        return found

    async def _log_in(self, tenant: UUID, claims: Claims) -> identities.Identity:
        roles = claims.roles
        if roles is not None and tenant != PLATFORM_TENANT:
            roles -= {Role.PLATFORM}
        if not await identities.log_in(self.db, tenant, self.new_id(), claims, roles):
            raise _Refused("too-many-principals", tenant)
        self.woken()
        found = await self._meant(claims)
        assert isinstance(found, identities.Identity), "who has just logged in is there"
        return found

    async def _note(self, tenant: UUID, reason: str, place: str) -> None:
        """In the log of the tenant whose key it is; guesses are the platform's. The same one once a minute."""
        now, what = self.clock(), (tenant, reason, place)
        if now - self._noted.get(what, -_NOTED_S) < _NOTED_S:
            return
        if len(self._noted) >= _NOTED_MOST:
            self._noted.clear()
        self._noted[what] = now
        await audit.note(
            self.db, tenant, actor="anonymous", action="credential.refused", target=place, details={"reason": reason}
        )
