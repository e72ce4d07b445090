"""Human tasks: calls that wait for people, effects in doubt, runs in trouble. `18_approvals.sql` says who decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from psycopg.rows import class_row

from holdfast.domain.approving import OnExpiry, TaskKind, TaskState

if TYPE_CHECKING:
    from holdfast.store.pool import Database

Verdict = Literal["approved", "rejected", "answered", "declined", "done", "not_done", "go_on", "finish", "fail_run"]
Refusal = Literal["no_person", "disabled", "not_behind", "requester", "role", "beholden", "one_hand"]
"""Why somebody may not decide: see `refusal` in `18_approvals.sql`."""
NEWCOMER_S = 7 * 86_400.0
"""For how long those whom a requester admitted or promoted may not authorise what that one is behind."""


@dataclass(frozen=True, slots=True)
class ApprovalTask:
    """One human task, as it stands for one who looks at it."""

    tenant: UUID
    id: UUID
    run: UUID
    task: str
    """The task that the run is of."""
    principal: str
    """Whom the run is for."""
    requested_by: str | None
    """Who asked for it on their behalf, if another."""
    kind: TaskKind
    state: TaskState
    scope: str
    step: int
    call: str
    tool: str
    key: str | None
    args: bytes
    """Digest of the arguments as the model gave them."""
    received: bytes | None
    """Digest of the arguments as the tool would receive them, where they are others."""
    edited: bytes | None
    """Digest of the arguments as people last edited them."""
    digest: str
    """What the decision is bound to."""
    why: str | None
    ask: str
    round: int
    requesters: Sequence[str]
    """Who is behind the call and authorises nothing of it: the run's principal, who asked for it, who edited it."""
    asked_at: datetime
    expires_at: datetime | None
    on_expiry: OnExpiry
    escalate_at: Sequence[datetime]
    escalate_ask: Sequence[str]
    escalated: int
    decided_at: datetime | None
    decided_by: str | None
    agreed: Sequence[str]
    """Whose votes count so far; of a settled one, those whose votes settled it."""
    needed: int
    voted: bool
    """Whether the one who looks has agreed to what is asked now."""
    refused: Refusal | None
    """Why the one who looks may not decide it; None where they may."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a decision.

    Something happened: `decided`; `voted` (more have to agree); `edited` (everybody is asked anew). Nothing did:
    `already` (`state` and `decided_by` are the first's); `again` (they have agreed before); `mismatch` (the task is
    bound to another digest); `reported` (a worker's late report of the effect waits to be read); `cancelling` (the run
    is to stop); `refused` (`why`); `invalid` (not a verdict on this kind of task); `absent`.
    """

    outcome: Literal[
        "decided",
        "voted",
        "edited",
        "already",
        "again",
        "mismatch",
        "reported",
        "cancelling",
        "refused",
        "invalid",
        "absent",
    ]
    state: TaskState | None
    decided_by: str | None
    run: UUID | None
    seq: int | None
    """The decision's place in the run's inbox; None where it has none yet, and for a run that has ended."""
    why: Refusal | None
    agreed: int
    needed: int


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of a task's history."""

    nth: int
    at: datetime
    what: str
    """`voted`, `edited`, `escalated`, or the state it ended in."""
    by: str
    digest: str
    """What a decision is bound to from then on."""
    ask: str
    """Who has to agree from then on."""
    content: bytes | None
    """Digest of the arguments as edited, of a reason, of a result, of an answer."""


@dataclass(frozen=True, slots=True)
class Vote:
    """What somebody agreed to. Whether it counts is another question."""

    voter: str
    verdict: Verdict
    digest: str
    content: bytes | None
    via: str | None
    at: datetime


async def decide_approval(
    db: Database,
    tenant: UUID,
    approval: UUID,
    verdict: Verdict,
    digest: str,
    *,
    by: str,
    content: bytes | None = None,
    content_digest: bytes | None = None,
    newcomer_s: float = NEWCOMER_S,
    via: str | None = None,
) -> Decision:
    """Settle a pending human task, once, and tell its run, both or neither; or add a vote where more have to agree.

    Repeated while the database is away: a decision that turns out to be this very one is `decided`, a vote `voted`.

    Args:
        db: the database.
        tenant: whose task it is.
        approval: the task.
        verdict: what is said.
        digest: what it is said of.
        by: who says it.
        content: with `approved` the arguments to use instead, with `rejected` or `declined` a reason, with `done` a
            result, with `answered` the answer: sealed.
        content_digest: its digest.
        newcomer_s: for how long those whom a requester admitted or promoted may not authorise.
        via: who made the link by which they decide, if they decide by one.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits; it may have been decided.
    """
    parameters = {
        "tenant": tenant,
        "approval": approval,
        "verdict": verdict,
        "digest": digest,
        "by": by,
        "content": content,
        "content_digest": content_digest,
        "newcomer_s": newcomer_s,
        "via": via,
    }
    attempts = 0

    async def act() -> Decision:
        nonlocal attempts
        attempts += 1
        rows = await db.fetch(tenant, "decide_approval", parameters, class_row(Decision))
        return rows[0]

    found = await db.repeat(act)
    if attempts > 1 and found.outcome == "already" and (found.state, found.decided_by) == (verdict, by):
        return Decision("decided", verdict, by, found.run, None, None, found.agreed, found.needed)
    if attempts > 1 and found.outcome == "again":
        return Decision("voted", found.state, None, found.run, None, None, found.agreed, found.needed)
    return found


async def get_approval(
    db: Database,
    tenant: UUID,
    approval: UUID,
    *,
    by: str = "",
    only: str | None = None,
    newcomer_s: float = NEWCOMER_S,
) -> ApprovalTask | None:
    """One human task as it stands for `by`, or None; only of runs for or asked for by `only`, where it names one.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {"tenant": tenant, "approval": approval, "by": by, "only": only, "newcomer_s": newcomer_s}
    rows = await db.repeat(lambda: db.fetch(tenant, "get_approval", parameters, class_row(ApprovalTask)))
    return rows[0] if rows else None


async def list_approvals(
    db: Database,
    tenant: UUID,
    *,
    by: str = "",
    mine: bool = False,
    state: TaskState | None = None,
    run: UUID | None = None,
    ask: str | None = None,
    tool: str | None = None,
    role: str | None = None,
    only: str | None = None,
    newcomer_s: float = NEWCOMER_S,
    after: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> Sequence[ApprovalTask]:
    """Human tasks as they stand for `by`, oldest first, from behind a place `(asked_at, id)`.

    Args:
        db: the database.
        tenant: whose tasks.
        by: the one who looks.
        mine: only those that `by` may decide and has not agreed to yet.
        state: only those in this state.
        run: only those of this run.
        ask: only those that ask exactly this.
        tool: only those about this tool.
        role: only those that ask somebody of this role.
        only: only those of runs that are for this principal or were asked for by it.
        newcomer_s: as `decide_approval`.
        after: the place.
        limit: the most to give.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    at, id_ = after or (None, None)
    parameters = {
        "tenant": tenant,
        "by": by,
        "mine": mine,
        "state": state,
        "run": run,
        "ask": ask,
        "tool": tool,
        "role": role,
        "only": only,
        "newcomer_s": newcomer_s,
        "after_at": at,
        "after_id": id_,
        "limit": limit,
    }
    return await db.repeat(lambda: db.fetch(tenant, "list_approvals", parameters, class_row(ApprovalTask)))


async def read_history(db: Database, tenant: UUID, approval: UUID) -> Sequence[Happening]:
    """What has happened to a human task, in order. All of these raise as `Database.repeat`."""
    named = {"tenant": tenant, "approval": approval}
    return await db.repeat(lambda: db.fetch(tenant, "read_approval_history", named, class_row(Happening)))


async def read_votes(db: Database, tenant: UUID, approval: UUID) -> Sequence[Vote]:
    """Who agreed to a human task, in order, votes that count no more among them."""
    named = {"tenant": tenant, "approval": approval}
    return await db.repeat(lambda: db.fetch(tenant, "read_approval_votes", named, class_row(Vote)))
