"""Say something to a run that is under way."""

from __future__ import annotations

from uuid import UUID

from holdfast.domain.errors import IdempotencyConflict, InvalidInput
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.deliver import deliver, seal_for
from holdfast.service.existing import existing_run
from holdfast.service.idempotency import check_idempotency_key
from holdfast.service.run_view import row_view
from holdfast.service.services import Services
from holdfast.service.views import RunView
from holdfast.store.inbox import read_inbox


async def send_message(
    services: Services, who: Who, run: UUID, message: str, *, idempotency_key: str | None = None
) -> RunView:
    """Give a run a message; its agent sees it with the next model request.

    Raises:
        NotFound: there is no such run.
        AlreadyFinished: it has ended.
        QuotaExceeded: the tenant has as many bytes as it may.
        InvalidInput: the message is empty or cannot be stored.
        IdempotencyConflict: the key was used with another message.
    """
    if not message.strip():
        raise InvalidInput("The message is empty. Say something.")
    check_idempotency_key(idempotency_key)
    row = await existing_run(services, who, run, Scope.RUNS_CONTROL)
    sealed = await seal_for(services, row, message, what="message")
    assert sealed is not None
    dedupe = None if idempotency_key is None else f"message:{who.principal}:{idempotency_key}"
    answer = await deliver(services, who, row, "message", sealed, dedupe)
    if answer.outcome == "repeated":
        assert answer.seq is not None
        first = await read_inbox(services.db, who.tenant, run, after=answer.seq - 1)
        if first and first[0].digest != sealed.digest:
            raise IdempotencyConflict(
                "This idempotency key was used before with a different message, and nothing was sent. Use a new key "
                "for a new message."
            )
    return row_view(await existing_run(services, who, run, Scope.RUNS_CONTROL))
