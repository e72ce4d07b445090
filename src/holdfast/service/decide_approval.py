"""Decide what a person is asked: whether a tool may be called, or what became of an effect."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from holdfast.domain.errors import InvalidInput
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.approval_errors import AlreadyVoted as AlreadyVoted  # noqa: PLC0414  raised by these use cases
from holdfast.service.approval_errors import DigestMismatch as DigestMismatch  # noqa: PLC0414
from holdfast.service.approval_errors import EffectReported as EffectReported  # noqa: PLC0414
from holdfast.service.approval_errors import MayNotDecide as MayNotDecide  # noqa: PLC0414
from holdfast.service.approval_errors import refusal_of
from holdfast.service.approval_shapes import ApprovalDetail
from holdfast.service.approval_view import approval_detail, existing_approval
from holdfast.service.deliver import announce, seal_for
from holdfast.service.existing import existing_run
from holdfast.service.names import name_of
from holdfast.service.services import Services
from holdfast.store import approvals

Verdict = Literal["approved", "rejected"]
Resolution = Literal["done", "not_done", "fail_run"]


async def decide_approval(
    services: Services,
    who: Who,
    approval: UUID,
    verdict: Verdict,
    *,
    digest: str,
    args: dict[str, Any] | None = None,
    reason: str | None = None,
    via: str | None = None,
) -> ApprovalDetail:
    """Approve or reject a tool call, or agree to it where several have to.

    Who edits the arguments of a call that others authorise is behind it from then on, and agrees to nothing: the task
    waits for those others, with another digest, and the votes there were count no more.

    Args:
        services: what this process has.
        who: the one who decides.
        approval: the task.
        verdict: what they say.
        digest: the task's digest, as shown to them: the decision is about exactly that.
        args: with an approval, the arguments to call the tool with instead of those shown.
        reason: with a rejection, why; the model is told.
        via: who made the link by which they decide, if they decide by one.

    Raises:
        NotFound: there is no such task.
        AlreadyDecided: somebody was first, nobody was in time, or the run ended.
        AlreadyVoted: they have agreed before, and others have to as well.
        MayNotDecide: it is for others; the message says why.
        DigestMismatch: the digest is not the task's.
        RunStopping: the run is to stop.
        InvalidInput: the parts do not belong together.
    """
    if verdict == "approved" and reason is not None:
        raise InvalidInput("A reason belongs to a rejection. Leave it out, or reject.")
    if verdict == "rejected" and args is not None:
        raise InvalidInput("Edited arguments belong to an approval. Leave them out, or approve.")
    content, what = (args, "arguments") if verdict == "approved" else (reason, "reason")
    return await settle(services, who, approval, "approval", verdict, digest, content, what, via)


async def resolve_effect(
    services: Services,
    who: Who,
    approval: UUID,
    resolution: Resolution,
    *,
    digest: str,
    result: Any = None,
    reason: str | None = None,
    via: str | None = None,
) -> ApprovalDetail:
    """Say what became of an effect in doubt: done with this result, not done so run it, or fail the run.

    It takes the authority that its approval took: where several have to agree, they have to say the same.

    Args:
        services: what this process has.
        who: the one who decides.
        approval: the task.
        resolution: what they say.
        digest: the task's digest, as shown to them.
        result: with `done`, the tool's result as JSON shapes; None is a result too.
        reason: with `fail_run`, why.
        via: who made the link by which they decide, if they decide by one.

    Raises:
        EffectReported: the worker that lost the run has said what became of it; the run has yet to read that.
        NotFound, AlreadyDecided, AlreadyVoted, MayNotDecide, DigestMismatch, InvalidInput: as `decide_approval`.
    """
    if resolution != "done" and result is not None:
        raise InvalidInput("A result belongs to an effect that was done. Leave it out, or say 'done'.")
    if resolution != "fail_run" and reason is not None:
        raise InvalidInput("A reason belongs to failing the run. Leave it out, or say 'fail_run'.")
    content, what = (result, "result") if resolution == "done" else (reason, "reason")
    return await settle(services, who, approval, "in_doubt", resolution, digest, content, what, via)


async def settle(
    services: Services,
    who: Who,
    approval: UUID,
    kind: str,
    verdict: approvals.Verdict,
    digest: str,
    content: Any,
    what: str,
    via: str | None = None,
) -> ApprovalDetail:
    """Settle a human task of one kind, or add a vote. `content` goes with what is said, and is called `what`.

    Raises:
        RequestError: as the use cases that say what.
    """
    row = await existing_approval(services, who, approval, Scope.APPROVALS_DECIDE)
    if row.kind != kind:
        raise _wrong_kind(row.kind)
    run = await existing_run(services, who, row.run, Scope.APPROVALS_DECIDE)
    sealed = await seal_for(services, run, content, what=what, one_form=True)
    answer = await approvals.decide_approval(
        services.db,
        who.tenant,
        approval,
        verdict,
        digest,
        by=who.principal,
        content=None if sealed is None else sealed.body,
        content_digest=None if sealed is None else sealed.digest,
        newcomer_s=services.newcomer_s,
        via=via,
    )
    # A decision that comes too late may have found that the task's time was over, and told the run.
    announce(services, row.run)
    now = await existing_approval(services, who, approval, Scope.APPROVALS_DECIDE)
    if answer.outcome not in {"decided", "voted", "edited"}:
        raise refusal_of(answer, now, await name_of(services, who.tenant, answer.decided_by or "somebody"))
    return await approval_detail(services, who, now, Scope.APPROVALS_DECIDE)


def _wrong_kind(kind: str) -> InvalidInput:
    return InvalidInput(_SAY[kind])


_SAY = {
    "approval": "This is an approval. Say 'approved' or 'rejected'.",
    "question": "This is a question of a tool's. Say 'answered' with the answer, or 'declined'.",
    "in_doubt": "This is an effect in doubt. Say 'done' with the result, 'not_done' to run it, or 'fail_run'.",
    "escalation": "This is a run in trouble. Say 'go_on', 'finish' with its output, or 'fail_run'.",
}
