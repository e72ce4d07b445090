"""Human tasks: tool calls that wait for a person, and effects in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from psycopg.rows import class_row

if TYPE_CHECKING:
    from holdfast.store.pool import Database

ApprovalState = Literal["pending", "approved", "rejected", "done", "not_done", "fail_run", "void"]
Verdict = Literal["approved", "rejected", "done", "not_done", "fail_run"]


@dataclass(frozen=True, slots=True)
class ApprovalTask:
    """One human task."""

    tenant: UUID
    id: UUID
    run: UUID
    kind: Literal["approval", "in_doubt"]
    state: ApprovalState
    scope: str
    step: int
    call: str
    tool: str
    key: str | None
    args: bytes
    """Digest of the content shown."""
    digest: str
    """What the decision is bound to."""
    why: str | None
    asked_at: datetime
    decided_at: datetime | None
    decided_by: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a decision.

    `decided`; `already` (`state` and `decided_by` are the first's); `mismatch` (the task is bound to another digest);
    `reported` (a worker's late report of the effect waits to be read); `invalid` (not a verdict on this kind of task);
    `absent`.
    """

    outcome: Literal["decided", "already", "mismatch", "reported", "invalid", "absent"]
    state: ApprovalState | None
    decided_by: str | None
    run: UUID | None
    seq: int | None
    """The decision's place in the run's inbox; None for a run that has ended."""


async def decide_approval(
    db: Database,
    tenant: UUID,
    approval: UUID,
    verdict: Verdict,
    digest: str,
    body: str,
    *,
    by: str,
    content: bytes | None = None,
    content_digest: bytes | None = None,
) -> Decision:
    """Settle a pending human task, once, and deliver the decision to its run as a signal, both or neither.

    Repeated while the database is away: a decision that turns out to be this very one is `decided`.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits; it may have been decided.
    """
    parameters = {
        "tenant": tenant,
        "approval": approval,
        "verdict": verdict,
        "digest": digest,
        "by": by,
        "body": body,
        "content": content,
        "content_digest": content_digest,
    }
    attempts = 0

    async def act() -> Decision:
        nonlocal attempts
        attempts += 1
        rows = await db.fetch(tenant, "decide_approval", parameters, class_row(Decision))
        return rows[0]

    found = await db.repeat(act)
    if attempts > 1 and found.outcome == "already" and (found.state, found.decided_by) == (verdict, by):
        return Decision("decided", verdict, by, found.run, None)
    return found


async def get_approval(db: Database, tenant: UUID, approval: UUID, *, only: str | None = None) -> ApprovalTask | None:
    """One human task, or None; only of that principal's runs where `only` names one.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {"tenant": tenant, "approval": approval, "only": only}
    rows = await db.repeat(lambda: db.fetch(tenant, "get_approval", parameters, class_row(ApprovalTask)))
    return rows[0] if rows else None


async def list_approvals(
    db: Database,
    tenant: UUID,
    *,
    state: ApprovalState | None = None,
    run: UUID | None = None,
    only: str | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> Sequence[ApprovalTask]:
    """Human tasks, of one principal's runs where `only` names it, oldest first, from behind a place `(asked_at, id)`.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    at, id_ = after or (None, None)
    parameters = {
        "tenant": tenant,
        "state": state,
        "run": run,
        "only": only,
        "after_at": at,
        "after_id": id_,
        "limit": limit,
    }
    name = "list_approvals" if only is None else "list_own_approvals"
    return await db.repeat(lambda: db.fetch(tenant, name, parameters, class_row(ApprovalTask)))
