"""Whether the journals of a tenant are as they were written, as far as their hashes tell.

A run's events chain to the head that its row has. Nobody needs a key for that: so whoever changes an event and leaves
the rest is found out, and whoever computes all hashes after it and the head anew is not.
"""

from __future__ import annotations

from uuid import UUID

from holdfast.service.services import Services
from holdfast.store.hashing import GENESIS, verify_chain
from holdfast.store.tenants import run_heads

_PAGE = 2_000


async def broken_journal(services: Services, tenant: UUID, *, events: int) -> str | None:
    """Which run of a tenant has a journal that does not verify, and why; the first of them. None: all do.

    A page of one journal is held at a time. A run without any event passes: retention drops journals whole.

    Args:
        services: what this process has.
        tenant: whose runs.
        events: how many events the tenant has. Those that belong to no run of it are told as well.
    """
    verified = 0
    async for run, seq, head in run_heads(services.db, tenant):
        last = (0, GENESIS)
        while page := await services.reader.journal(tenant, run, after=last[0], limit=_PAGE):
            if broken := verify_chain(tenant, run, page, after=last):
                return f"the journal of run {run} does not verify at event {broken.seq}: {broken.why}"
            last = (page[-1].seq, page[-1].hash)
            if len(page) < _PAGE:
                break
        if last[0] and last != (seq, head):
            return f"the journal of run {run} does not verify: it does not end where the run's own row says"
        verified += last[0]
    return None if verified == events else f"{events - verified} of its events belong to no run of it"
