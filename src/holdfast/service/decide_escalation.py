"""Decide what becomes of a run that cannot go on by itself, and every kind of decision in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from holdfast.domain.errors import InvalidInput
from holdfast.domain.events import Way
from holdfast.domain.limits import ceiling_of, describe, display, how_to_raise, read_ceilings
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.answer_question import Answer, answer_question
from holdfast.service.approval_shapes import ApprovalDetail, is_tenants_alone
from holdfast.service.approval_view import approval_view, existing_approval
from holdfast.service.decide_approval import Resolution, Verdict, decide_approval, resolve_effect, settle
from holdfast.service.services import Services
from holdfast.store.approvals import ApprovalTask
from holdfast.store.ceilings import get_ceilings


async def decide_escalation(
    services: Services,
    who: Who,
    approval: UUID,
    way: Way,
    *,
    digest: str,
    limits: Mapping[str, Any] | None = None,
    output: Any = None,
    reason: str | None = None,
    via: str | None = None,
) -> ApprovalDetail:
    """Say what becomes of a run in trouble: it goes on, it ends with this output, or it fails.

    Args:
        services: what this process has.
        who: the one who decides.
        approval: the task.
        way: what they say.
        digest: the task's digest, as shown to them.
        limits: with `go_on`, what limits are raised to: the one that was reached, at least, unless only the tenant's
            stood in the way and was raised since.
        output: with `finish`, the run's output as JSON shapes.
        reason: with `fail_run`, why.
        via: who made the link by which they decide, if they decide by one.

    Raises:
        NotFound, AlreadyDecided, AlreadyVoted, MayNotDecide, DigestMismatch, RunStopping: as `decide_approval`.
        InvalidInput: the parts do not belong together, the limit is not raised enough, the tenant's stands in the way,
            or the output does not fit.
    """
    if limits and way != "go_on":
        raise InvalidInput("Limits are raised for a run that goes on. Leave them out, or say 'go_on'.")
    if output is not None and way != "finish":
        raise InvalidInput("An output ends the run. Leave it out, or say 'finish'.")
    if reason is not None and way != "fail_run":
        raise InvalidInput("A reason belongs to failing the run. Leave it out, or say 'fail_run'.")
    row = await existing_approval(services, who, approval, Scope.APPROVALS_DECIDE)
    content: Any = reason
    if row.kind == "escalation" and way == "go_on":
        content = await _raised(services, who, row, limits or {})
    elif row.kind == "escalation" and way == "finish":
        content = output
        if services.app is not None:
            services.task(row.task).read_output(output)
    what = {"go_on": "limits", "finish": "output", "fail_run": "reason"}[way]
    return await settle(services, who, approval, "escalation", way, digest, content, what, via)


async def _raised(services: Services, who: Who, row: ApprovalTask, given: Mapping[str, Any]) -> dict[str, int] | None:
    try:
        limits = read_ceilings(given)
    except ValueError as error:
        raise InvalidInput(str(error)) from error
    tenants = await get_ceilings(services.db, who.tenant)
    for name, most in limits.items():
        if (highest := ceiling_of(tenants, name)) is not None and most > highest:
            raise InvalidInput(
                f"{display(name, most)} is above the tenant's limit on {describe(name)}, which is "
                f"{display(name, highest)}. {how_to_raise(name)}"
            )
    if not row.tool:
        return limits or None
    shown: Any = (await approval_view(services, who, row, Scope.APPROVALS_DECIDE)).args.value
    # Content that was erased, or is too long to be shown, says nothing: then the engine finds out.
    reached: Mapping[str, Any] = shown["limit"] if shown else {}
    least = int(reached.get("stood", 0)) + int(reached.get("next", 0))
    highest = ceiling_of(tenants, row.tool)
    if highest is not None and highest < least:
        raise InvalidInput(
            f"The tenant's limit on {describe(row.tool)} is {display(row.tool, highest)}, and the next step needs "
            f"{display(row.tool, least)}. {how_to_raise(row.tool)}"
        )
    if row.tool not in limits:
        if is_tenants_alone(reached):
            return limits or None
        raise InvalidInput(
            f"The limit on {describe(row.tool)} is reached. Say to what it is raised: {row.tool}=NUMBER, or the run "
            "would stand where it stands."
        )
    if limits[row.tool] < least:
        raise InvalidInput(
            f"{display(row.tool, limits[row.tool])} is not enough: the next step needs {display(row.tool, least)}."
        )
    return limits


async def decide(
    services: Services,
    who: Who,
    approval: UUID,
    verdict: Verdict | Answer | Resolution | Way,
    *,
    digest: str,
    args: dict[str, Any] | None = None,
    reason: str | None = None,
    result: Any = None,
    limits: Mapping[str, Any] | None = None,
    output: Any = None,
    answer: Any = None,
    via: str | None = None,
) -> ApprovalDetail:
    """Any kind of decision, for interfaces that take all in one place.

    Raises:
        RequestError: as the use case for this kind.
    """
    kind = _ONLY_OF.get(verdict)
    if kind is None:
        kind = (await existing_approval(services, who, approval, Scope.APPROVALS_DECIDE)).kind
    parts = {"args": args, "result": result, "limits": limits, "output": output, "answer": answer}
    for part, of in _PARTS.items():
        if parts[part] is not None and of != kind:
            raise InvalidInput(f"`{part}` does not belong to '{verdict}'. Leave it out.")
    match verdict:
        case "approved" | "rejected":
            return await decide_approval(
                services, who, approval, verdict, digest=digest, args=args, reason=reason, via=via
            )
        case "answered" | "declined":
            return await answer_question(
                services, who, approval, verdict, digest=digest, answer=answer, reason=reason, via=via
            )
        case "done" | "not_done":
            return await resolve_effect(
                services, who, approval, verdict, digest=digest, result=result, reason=reason, via=via
            )
        case "fail_run" if kind != "escalation":
            return await resolve_effect(services, who, approval, verdict, digest=digest, reason=reason, via=via)
        case _:
            return await decide_escalation(
                services, who, approval, verdict, digest=digest, limits=limits, output=output, reason=reason, via=via
            )


_ONLY_OF = {
    "approved": "approval",
    "rejected": "approval",
    "answered": "question",
    "declined": "question",
    "done": "in_doubt",
    "not_done": "in_doubt",
    "go_on": "escalation",
    "finish": "escalation",
}
_PARTS = {
    "args": "approval",
    "result": "in_doubt",
    "limits": "escalation",
    "output": "escalation",
    "answer": "question",
}
