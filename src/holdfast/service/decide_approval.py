"""Decide what a person is asked: whether a tool may be called, or what became of an effect."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

import orjson

from holdfast.domain.errors import AlreadyDecided, InvalidInput, RequestError
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.approval_view import approval_view, existing_approval, no_approval
from holdfast.service.deliver import announce, seal_for
from holdfast.service.existing import existing_run
from holdfast.service.names import name_of
from holdfast.service.services import Services
from holdfast.service.views import ApprovalView
from holdfast.store import approvals

Verdict = Literal["approved", "rejected"]
Resolution = Literal["done", "not_done", "fail_run"]


class DigestMismatch(RequestError):
    """The decision is about other content than the task shows."""

    slug = "digest-mismatch"
    status = 409


class EffectReported(AlreadyDecided):
    """The worker that lost the run has reported how the effect ended; the run has yet to read it."""

    slug = "effect-reported"


async def decide_approval(
    services: Services,
    who: Who,
    approval: UUID,
    verdict: Verdict,
    *,
    digest: str,
    args: dict[str, Any] | None = None,
    reason: str | None = None,
) -> ApprovalView:
    """Approve or reject a tool call.

    Args:
        services: what this process has.
        who: the one who decides.
        approval: the task.
        verdict: what they say.
        digest: the task's digest, as shown to them: the decision is about exactly that.
        args: with an approval, the arguments to call the tool with instead of those shown.
        reason: with a rejection, why; the model is told.

    Raises:
        NotFound: there is no such task.
        AlreadyDecided: somebody was first, or the run ended.
        DigestMismatch: the digest is not the task's.
        InvalidInput: the parts do not belong together.
    """
    if verdict == "approved" and reason is not None:
        raise InvalidInput("A reason belongs to a rejection. Leave it out, or reject.")
    if verdict == "rejected" and args is not None:
        raise InvalidInput("Edited arguments belong to an approval. Leave them out, or approve.")
    content, what = (args, "arguments") if verdict == "approved" else (reason, "reason")
    return await _decide(services, who, approval, "approval", verdict, digest, content, what)


async def resolve_effect(
    services: Services,
    who: Who,
    approval: UUID,
    resolution: Resolution,
    *,
    digest: str,
    result: Any = None,
    reason: str | None = None,
) -> ApprovalView:
    """Say what became of an effect in doubt: done with this result, not done so run it, or fail the run.

    Args:
        services: what this process has.
        who: the one who decides.
        approval: the task.
        resolution: what they say.
        digest: the task's digest, as shown to them.
        result: with `done`, the tool's result as JSON shapes; None is a result too.
        reason: with `fail_run`, why.

    Raises:
        EffectReported: the worker that lost the run has said what became of it; the run has yet to read that.
        NotFound, AlreadyDecided, DigestMismatch, InvalidInput: as `decide_approval`.
    """
    if resolution != "done" and result is not None:
        raise InvalidInput("A result belongs to an effect that was done. Leave it out, or say 'done'.")
    if resolution != "fail_run" and reason is not None:
        raise InvalidInput("A reason belongs to failing the run. Leave it out, or say 'fail_run'.")
    content, what = (result, "result") if resolution == "done" else (reason, "reason")
    return await _decide(services, who, approval, "in_doubt", resolution, digest, content, what)


async def decide(
    services: Services,
    who: Who,
    approval: UUID,
    verdict: Verdict | Resolution,
    *,
    digest: str,
    args: dict[str, Any] | None = None,
    reason: str | None = None,
    result: Any = None,
) -> ApprovalView:
    """Either kind of decision, for interfaces that take both in one place.

    Raises:
        NotFound, AlreadyDecided, EffectReported, DigestMismatch, InvalidInput: as the other two.
    """
    if verdict == "approved" or verdict == "rejected":  # noqa: PLR1714 - narrows the type
        if result is not None:
            raise InvalidInput("A result belongs to an effect that was done. Leave it out.")
        return await decide_approval(services, who, approval, verdict, digest=digest, args=args, reason=reason)
    if args is not None:
        raise InvalidInput("Arguments belong to an approval. Leave them out.")
    return await resolve_effect(services, who, approval, verdict, digest=digest, result=result, reason=reason)


async def _decide(
    services: Services,
    who: Who,
    approval: UUID,
    kind: str,
    verdict: Verdict | Resolution,
    digest: str,
    content: Any,
    what: str,
) -> ApprovalView:
    row = await existing_approval(services, who, approval, Scope.APPROVALS_DECIDE)
    if row.kind != kind:
        raise _wrong_kind(row.kind)
    run = await existing_run(services, who, row.run, Scope.APPROVALS_DECIDE)
    sealed = await seal_for(services, run, content, what=what)
    answer = await approvals.decide_approval(
        services.db,
        who.tenant,
        approval,
        verdict,
        digest,
        orjson.dumps({"approval": approval, "kind": kind, "verdict": verdict}).decode(),
        by=who.principal,
        content=None if sealed is None else sealed.body,
        content_digest=None if sealed is None else sealed.digest,
    )
    if answer.outcome != "decided":
        raise await _refusal(services, who, answer)
    announce(services, row.run)
    decided = await existing_approval(services, who, approval, Scope.APPROVALS_DECIDE)
    return await approval_view(services, who, decided, Scope.APPROVALS_DECIDE)


async def _refusal(services: Services, who: Who, answer: approvals.Decision) -> RequestError:
    match answer.outcome:
        case "already" if answer.state == "void":
            return AlreadyDecided("The run ended before anybody decided; there is nothing to decide any more.")
        case "already":
            first = await name_of(services, who.tenant, answer.decided_by or "somebody")
            return AlreadyDecided(f"This was decided first by {first}: {answer.state}. Nothing was changed.")
        case "reported":
            return EffectReported(
                "The worker that lost this run has reported how the effect ended, and the run has yet to read it. "
                "Nothing was changed. Look again once a worker has taken the run up: the task is closed then, or still "
                "yours to decide."
            )
        case "mismatch":
            return DigestMismatch(
                "The digest is not the one of what waits for a decision. Look at it again and decide on what it shows."
            )
        case "invalid":
            return InvalidInput("This decision does not fit what is asked.")
        case _:
            return no_approval()


def _wrong_kind(kind: str) -> InvalidInput:
    if kind == "in_doubt":
        return InvalidInput(
            "This is an effect in doubt, not an approval. Say 'done' with the result, 'not_done' to run it, or "
            "'fail_run'."
        )
    return InvalidInput("This is an approval, not an effect in doubt. Say 'approved' or 'rejected'.")
