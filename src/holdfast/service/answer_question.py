"""Answer what a tool call waits for: a question to the person behind the run, or the result of work done outside."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from holdfast.domain.errors import InvalidInput
from holdfast.domain.principal import Who
from holdfast.service.approval_shapes import ApprovalDetail
from holdfast.service.decide_approval import settle
from holdfast.service.services import Services

Answer = Literal["answered", "declined"]


async def answer_question(
    services: Services,
    who: Who,
    approval: UUID,
    verdict: Answer,
    *,
    digest: str,
    answer: Any = None,
    reason: str | None = None,
    via: str | None = None,
) -> ApprovalDetail:
    """Give a call its result, or say that none will come: then the call has failed, and the model is told so.

    Args:
        services: what this process has.
        who: the one who answers.
        approval: the task.
        verdict: whether there is an answer.
        digest: the task's digest, as shown to them: the answer is to exactly that.
        answer: with `answered`, the call's result as JSON shapes, most often a text; None is a result too.
        reason: with `declined`, why; the model is told.
        via: who made the link by which they answer, if they answer by one.

    Raises:
        NotFound, AlreadyDecided, MayNotDecide, DigestMismatch, RunStopping: as `decide_approval`.
        InvalidInput: the parts do not belong together, or it is no question.
        TooLarge, Erased: the answer cannot be stored.
    """
    if verdict == "answered" and reason is not None:
        raise InvalidInput("A reason belongs to declining. Leave it out, or say 'declined'.")
    if verdict == "declined" and answer is not None:
        raise InvalidInput("An answer belongs to answering. Leave it out, or say 'answered'.")
    content, what = (answer, "answer") if verdict == "answered" else (reason, "reason")
    return await settle(services, who, approval, "question", verdict, digest, content, what, via)
