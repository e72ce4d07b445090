"""Runs as rows: accepted, looked up, listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from psycopg.rows import class_row

from holdfast.domain.state import RunState, WaitingOn
from holdfast.store.idempotency import Idempotency, NoKey

if TYPE_CHECKING:
    from holdfast.store.pool import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run, as it stands."""

    tenant: UUID
    id: UUID
    task: str
    task_version: str
    state: RunState
    waiting_on: WaitingOn | None
    wake_at: datetime | None
    session: UUID | None
    principal: str
    subject: str
    requested_by: str | None
    parent: UUID | None
    priority: int
    epoch: int
    seq: int
    head: bytes
    inbox_seq: int
    folded_seq: int
    cancelling: bool
    claims: int
    rewound: bool
    steps: int
    model_requests: int
    tool_calls: int
    input_tokens: int
    output_tokens: int
    created_at: datetime
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime
    session_deleted: bool = False
    """Its content may not be shown any more. Read by `get_run` only."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", RunState(self.state))
        if self.waiting_on is not None:
            object.__setattr__(self, "waiting_on", WaitingOn(self.waiting_on))


@dataclass(frozen=True, slots=True)
class Accepted:
    """`accepted`; `repeated` (`run` is the first one's); `conflict` (the key came with another request).

    With the others nothing was stored: `foreign` (the session is another principal's), `deleted` (the session was), and
    what the tenant may not.
    """

    outcome: Literal[
        "accepted", "repeated", "conflict", "foreign", "deleted", "suspended", "too_many_runs", "too_many_bytes"
    ]
    run: UUID
    accepted_at: datetime | None = None
    """By the database's clock. None unless it was accepted by this very call: it may be anywhere by now."""


async def accept_run(
    db: Database,
    tenant: UUID,
    run: UUID,
    *,
    task: str,
    task_version: str,
    principal: str,
    subject: str,
    at: datetime,
    body: str,
    hash: bytes,  # noqa: A002  the column's name
    blobs: Mapping[bytes, bytes],
    session: UUID | None = None,
    shared: bool = False,
    requested_by: str | None = None,
    parent: UUID | None = None,
    priority: int = 0,
    idempotency: Idempotency | None = None,
) -> Accepted:
    """Insert a run with its first event (`run_accepted`: `at`, `body`, `hash`) and sealed content by digest.

    A session that is new is made, for this subject and principal; one of another principal's, but of this subject, is
    gone on with where it is `shared`. Repeated while the database is away: the run's id
    makes sure that it is accepted once.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits; it may have been accepted.
    """
    parameters = {
        "tenant": tenant,
        "run": run,
        "task": task,
        "task_version": task_version,
        "session": session,
        "principal": principal,
        "subject": subject,
        "requested_by": requested_by,
        "parent": parent,
        "priority": priority,
        "at": at,
        "body": body,
        "hash": hash,
        "digests": list(blobs.keys()),
        "bodies": list(blobs.values()),
        **(idempotency or NoKey())._asdict(),
        "shared": shared,
    }
    rows = await db.repeat(lambda: db.fetch(None, "accept_run", parameters, class_row(Accepted)))
    found = rows[0]
    # This very run was there: it was accepted by an attempt whose answer was lost.
    return Accepted("accepted", run) if found.outcome == "repeated" and found.run == run else found


async def get_run(db: Database, tenant: UUID, run: UUID, *, only: str | None = None) -> RunRow | None:
    """One run, or None where this tenant, or this principal of it, has none of that id.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {"tenant": tenant, "run": run, "only": only}
    rows = await db.repeat(lambda: db.fetch(tenant, "get_run", parameters, class_row(RunRow)))
    return rows[0] if rows else None


async def list_runs(
    db: Database,
    tenant: UUID,
    *,
    task: str | None = None,
    state: RunState | None = None,
    session: UUID | None = None,
    only: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> Sequence[RunRow]:
    """Runs, of one principal where `only` names it, newest first, from behind a place `(created_at, id)`.

    Runs accepted since do not move that place.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    at, id_ = before or (None, None)
    parameters = {
        "tenant": tenant,
        "task": task,
        "state": None if state is None else state.value,
        "session": session,
        "only": only,
        "before_at": at,
        "before_id": id_,
        "limit": limit,
    }
    name = "list_runs" if only is None else "list_own_runs"
    return await db.repeat(lambda: db.fetch(tenant, name, parameters, class_row(RunRow)))
