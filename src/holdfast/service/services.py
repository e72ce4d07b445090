"""What the use cases of a process share, and who asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import uuid_utils.compat

from holdfast.domain.errors import UnknownTask
from holdfast.domain.ids import DEFAULT_TENANT, LOCAL_PRINCIPAL
from holdfast.domain.principal import Principal, PrincipalKind, Who
from holdfast.domain.rights import Role
from holdfast.service.exports import Exports
from holdfast.store.approvals import NEWCOMER_S

if TYPE_CHECKING:
    from holdfast.app import App
    from holdfast.store.hashing import StoredEvent
    from holdfast.store.hints import Hints
    from holdfast.store.pool import Database
    from holdfast.store.reader import RunReader
    from holdfast.store.vault import SubjectKey, Vault
    from holdfast.task import Task

MAX_CONTENT_BYTES = 1 << 20
"""The largest input, message or decision, as JSON."""


LOCAL = Who.of(
    Principal(
        tenant=DEFAULT_TENANT,
        id=LOCAL_PRINCIPAL,
        kind=PrincipalKind.PERSON,
        name="local",
        roles=frozenset({Role.ADMIN}),
    )
)
"""Whoever works on the installation's own machine: what the command line acts as."""


def utc_now() -> datetime:
    """The clock that stamps what this process writes."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What a process needs to serve requests. Made in `wiring.py`, and by tests."""

    db: Database
    vault: Vault
    reader: RunReader
    hints: Hints
    app: App | None = None
    """None where no tasks are known, as in commands that only look."""
    caller: Who = LOCAL
    """Who asks where there is no credential: on the command line."""
    max_content_bytes: int = MAX_CONTENT_BYTES
    public_url: str | None = None
    """Where people reach the API; None where nobody has said."""
    newcomer_s: float = NEWCOMER_S
    """For how long those whom a requester admitted or promoted may not authorise what that one is behind."""
    exports: Exports = field(default_factory=Exports)
    """Those under way in this process."""
    now: Callable[[], datetime] = utc_now
    new_id: Callable[[], UUID] = uuid_utils.compat.uuid7

    def task(self, name: str) -> Task:
        """The registered task of that name.

        Raises:
            UnknownTask: there is none.
        """
        if self.app is None:
            raise UnknownTask(
                f"There is no task '{name}': this process has no application. Name one, as in `--app app.py:app`."
            )
        return self.app[name]

    async def journal(self, tenant: UUID, run: UUID, *, after: int = 0, limit: int | None = None) -> list[StoredEvent]:
        """A run's events after a sequence, oldest first; read again where the database went away meanwhile."""
        return await self.db.repeat(lambda: self.reader.journal(tenant, run, after=after, limit=limit))

    async def blobs(self, tenant: UUID, run: UUID, refs: Iterable[str]) -> dict[str, bytes]:
        """Sealed content of a run by reference; read again as `journal` does."""
        wanted = list(refs)
        return await self.db.repeat(lambda: self.reader.blobs(tenant, run, wanted))

    async def subject_key(self, tenant: UUID, subject: str) -> SubjectKey:
        """The key of a subject, made if it is new.

        Raises:
            Erased: it was destroyed.
        """
        return await self.db.repeat(lambda: self.vault.subject(tenant, subject))
