"""Reservations of which people may know better, and whether what is held is what is reserved."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from holdfast.domain.budgets import Unit
from holdfast.domain.errors import InvalidCursor, InvalidInput, NotFound, UnderWay
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.budget_views import DriftView, ReconcileView, ReservationView, ReservedView, SettledView
from holdfast.service.budget_words import amount_of, called_of, moment_of
from holdfast.service.content import check_text
from holdfast.service.pages import PAGE, cut
from holdfast.service.services import Services
from holdfast.service.set_budget import amount_in
from holdfast.store import budgets as store
from holdfast.store.budget_rows import Called, DriftRow, UnsettledRow
from holdfast.store.hints import QUEUED

WRONG_MOST = 200


async def reconcile_budgets(
    services: Services, who: Who, *, cursor: str | None = None, limit: int = PAGE
) -> ReconcileView:
    """Reservations that were settled at their bound, or are held by runs that are not at work, and windows whose held
    amount is not the sum of their reservations.

    Raises:
        MissingScope: they may not read budgets.
        InvalidCursor: `cursor` was not made by this list.
    """
    who.reach(Scope.BUDGETS_READ)
    rows = await store.list_unsettled(services.db, who.tenant, after=_place(cursor), limit=limit + 1)
    page, more = cut(rows, limit, _cursor)
    wrong = await store.check_budgets(services.db, who.tenant, limit=WRONG_MOST)
    return ReconcileView(items=[_view(row) for row in page], next=more, wrong=[_drift(row) for row in wrong])


async def settle_reservation(
    services: Services,
    who: Who,
    run: UUID,
    step: str,
    attempt: int,
    *,
    usd: str | float | None = None,
    tokens: str | float | None = None,
    requests: str | float | None = None,
    reason: str,
) -> SettledView:
    """Settle a reservation by what somebody found out: what it did use, of each unit that they know of.

    Raises:
        MissingScope: they may not.
        NotFound: there is no such reservation, or it was settled.
        UnderWay: its run is at work, and settles it itself.
        InvalidInput: nothing is said of what it used, or what is said is no amount, or no reason is given.
    """
    who.reach(Scope.BUDGETS_WRITE)
    if not check_text(reason, what="reason").strip():
        raise InvalidInput("Say how you know: the audit log keeps it.")
    if usd is None and tokens is None and requests is None:
        raise InvalidInput("Say what it used: dollars, tokens or requests. What is left out stays at its bound.")
    outcome = await store.correct_reservation(
        services.db,
        who.tenant,
        run,
        check_text(step, what="step"),
        attempt,
        usd_micros=_read("usd", usd),
        tokens=_read("tokens", tokens),
        requests=_read("requests", requests),
        reason=reason,
        by=who.principal,
    )
    if outcome == "absent":
        raise NotFound(
            "There is no such reservation, or it was settled. `GET /v1/budgets/reservations` or `holdfast budget "
            "reconcile` lists those there are."
        )
    if outcome == "under_way":
        raise UnderWay(
            "The run is at work and settles this reservation itself. Cancel the run, or wait until it is done with the "
            "step."
        )
    services.hints.notify(QUEUED)
    return SettledView(run=run, step=step, attempt=attempt)


def _read(unit: Unit, amount: str | float | None) -> int | None:
    return None if amount is None else amount_in(unit, amount)


def _view(row: UnsettledRow) -> ReservationView:
    amounts: Sequence[dict[str, Any]] = orjson.loads(row.amounts)
    return ReservationView(
        run=row.run,
        task=row.task,
        step=row.step,
        attempt=row.attempt,
        at=row.at,
        estimated=row.estimated,
        run_state=row.state,
        waiting_on=row.waiting_on,
        amounts=[
            ReservedView(
                budget=one["budget"],
                called=called_of(Called(one["scope"], one["key"], one["unit"], one["per"])),
                owner=one["owner"],
                unit=one["unit"],
                amount=amount_of(one["unit"], one["amount"]),
            )
            for one in amounts
        ],
    )


def _drift(row: DriftRow) -> DriftView:
    return DriftView(
        budget=row.budget,
        called=called_of(row),
        owner=row.owner,
        since=moment_of(row.per, row.since),
        held=amount_of(row.unit, row.held),
        reserved=amount_of(row.unit, row.reserved),
    )


def _cursor(row: UnsettledRow) -> str:
    raw = orjson.dumps([row.run, row.step, row.attempt])
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def _place(text: str | None) -> tuple[UUID, str, int] | None:
    if not text:
        return None
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
        run, step, attempt = orjson.loads(raw)
        found = UUID(run), check_text(str(step), what="cursor"), int(attempt)
    except (ValueError, TypeError, AttributeError, InvalidInput):
        found = None
    if found is None or not 0 <= found[2] < 1 << 31:
        raise InvalidCursor(
            f"'{text[:80]}' is not a cursor of this list. Send the `next` of the page before, or nothing to begin anew."
        )
    return found
