"""Put a signal into a run's inbox and say so to whoever carries or watches the run."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from holdfast.domain.errors import AlreadyFinished, QuotaExceeded
from holdfast.domain.principal import Who
from holdfast.service.content import to_json
from holdfast.service.existing import no_run
from holdfast.service.services import Services
from holdfast.store import signals
from holdfast.store.runs import RunRow
from holdfast.store.vault import Sealed


async def deliver(
    services: Services, who: Who, run: RunRow, kind: signals.SignalKind, content: Sealed | None, dedupe: str | None
) -> signals.Delivered:
    """Deliver a signal; it is in the database when this returns, and the run wakes if it was parked.

    Raises:
        NotFound: there is no such run.
        AlreadyFinished: the run has ended.
        QuotaExceeded: it is a message, and the tenant has as many bytes as it may.
    """
    answer = await signals.deliver_signal(
        services.db,
        who.tenant,
        run.id,
        kind,
        "{}",
        content=None if content is None else content.body,
        digest=None if content is None else content.digest,
        by=who.principal,
        dedupe=dedupe,
    )
    if answer.outcome == "absent":
        raise no_run()
    if answer.outcome == "finished":
        raise AlreadyFinished(f"Run {run.id} has ended; nothing more can be delivered to it.")
    if answer.outcome == "too_many_bytes":
        raise QuotaExceeded("Your tenant has as many bytes as it may have, and the message was not delivered.")
    announce(services, run.id)
    return answer


def announce(services: Services, run: UUID) -> None:
    """Hint that a run has a signal: to idle workers, to its holder, and to those who watch it."""
    for payload in ("q", f"s:{run}", f"r:{run}"):
        services.hints.notify(payload)


async def seal_for(services: Services, run: RunRow, value: Any, *, what: str, one_form: bool = False) -> Sealed | None:
    """`value` (JSON shapes) sealed under the run's subject; None for None. In `one_form` the same shapes seal alike.

    Raises:
        InvalidInput, TooLarge: it cannot be stored.
        Erased: the subject's content was erased.
    """
    if value is None:
        return None
    plain = to_json(value, what=what, max_bytes=services.max_content_bytes, one_form=one_form)
    return (await services.subject_key(run.tenant, run.subject)).seal(plain)
