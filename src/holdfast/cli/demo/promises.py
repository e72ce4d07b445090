"""What must be true after the demo, each looked up where it is known best."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from holdfast.cli.screen import plain
from holdfast.domain.events import RunClaimed
from holdfast.domain.state import RunState
from holdfast.service.existing import existing_run
from holdfast.service.get_run import get_run
from holdfast.store.hashing import verify_chain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.cli.demo.bank import Ledger
    from holdfast.cli.demo.stage import Stage
    from holdfast.service.services import Services
    from holdfast.store.hashing import StoredEvent

TURNS = 5
_WORKERS = ("A", "B")
_BOOKED = [("taxi", 20_00), ("shop", 480_00)]


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise, and whether it was kept."""

    promise: str
    kept: bool
    found: str


async def check_promises(services: Services, run: UUID, ledger: Ledger, stage: Stage) -> list[Promise]:
    """Look everything up."""
    return [
        await _finished(services, run),
        *_bank(ledger),
        _model(stage),
        *await _journal(services, run),
    ]


async def _finished(services: Services, run: UUID) -> Promise:
    view = await get_run(services, services.caller, run)
    output = None if view.output is None else view.output.value
    kept = view.state is RunState.SUCCEEDED and isinstance(output, dict) and output["card_blocked"] is True
    return Promise(
        "the run finished, and its answer is of the type the agent declares", kept, f"{view.state}: {plain(output)}"
    )


def _bank(ledger: Ledger) -> Iterator[Promise]:
    booked = [(booking.payment, booking.cents) for booking in ledger.bookings()]
    found = ", ".join(f"{payment} {cents / 100:.2f}" for payment, cents in booked)
    yield Promise("the bank's own ledger shows each refund once", booked == _BOOKED, found)
    keys = Counter(ledger.requests("/refunds"))
    counts = sorted(keys.values())
    yield Promise(
        "the refund that was cut off was asked for again under the same key, the other was not",
        counts == [1, 2],
        f"{sum(counts)} requests under {len(keys)} keys",
    )
    others = len(ledger.requests("/account")), len(ledger.requests("/block"))
    yield Promise(
        "no tool that had finished ran again", others == (1, 1), f"account {others[0]} x, block {others[1]} x"
    )


def _model(stage: Stage) -> Promise:
    asked = Counter(request["turn"] for request in stage.requests_to_model())
    found = ", ".join(f"turn {turn}: {count} x" for turn, count in sorted(asked.items()))
    return Promise("the model was asked once for each turn", asked == dict.fromkeys(range(1, TURNS + 1), 1), found)


async def _journal(services: Services, run: UUID) -> list[Promise]:
    tenant = services.caller.tenant
    events = await services.reader.journal(tenant, run)
    head = (await existing_run(services, services.caller, run)).head
    broken = verify_chain(tenant, run, events)
    whole = broken is None and bool(events) and events[-1].hash == head
    found = f"{len(events)} events, last hash {head.hex()[:16]}" if broken is None else f"{broken.seq}: {broken.why}"
    return [
        _two_workers(events),
        Promise("the journal verifies: every event, in order, none missing or changed", whole, found),
        _forged(tenant, run, events),
    ]


def _two_workers(events: list[StoredEvent]) -> Promise:
    claims = [event.load() for event in events if event.type == RunClaimed.type]
    workers = [str(claim.worker)[-6:] for claim in claims if isinstance(claim, RunClaimed)]
    in_turn = [worker for worker, before in zip(workers, [None, *workers], strict=False) if worker != before]
    return Promise(
        "one worker began it and another finished it",
        len(set(workers)) == len(in_turn) == len(_WORKERS),
        " then ".join(in_turn),
    )


def _forged(tenant: UUID, run: UUID, events: list[StoredEvent]) -> Promise:
    """Verification that could not fail would be worth nothing: one byte is added to one event."""
    middle = len(events) // 2
    forged = list(events)
    forged[middle] = forged[middle]._replace(body=forged[middle].body + b" ")
    noticed = verify_chain(tenant, run, forged)
    return Promise(
        "a changed journal would be noticed",
        noticed is not None and noticed.seq == middle + 1,
        f"one byte more in event {middle + 1}: {'not noticed' if noticed is None else noticed.why}",
    )


async def journal_verifies(services: Services, run: UUID) -> Promise:
    """Its chain holds, up to the head that the run's row has."""
    tenant = services.caller.tenant
    events = await services.journal(tenant, run)
    head = (await existing_run(services, services.caller, run)).head
    broken = verify_chain(tenant, run, events)
    whole = broken is None and bool(events) and events[-1].hash == head
    return Promise("the journal verifies", whole, f"{len(events)} events" if broken is None else broken.why)
