"""Whether the ledger is what journals say: each run's rows against the sum over its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from holdfast.domain import events as ev
from holdfast.domain.ledger import Amounts, lines_of
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.cost_views import CheckedRunView, CheckView
from holdfast.service.existing import existing_run
from holdfast.service.list_costs import days_of
from holdfast.service.services import Services
from holdfast.store.journal.rows import storable
from holdfast.store.ledger import costly_runs, read_run_ledger, stored_bytes

if TYPE_CHECKING:
    from holdfast.store.hashing import StoredEvent

Rows: TypeAlias = Mapping[tuple[date, str, str], Amounts]
_TRIES = 5


async def check_costs(services: Services, who: Who, *, since: str | None = None, until: str | None = None) -> CheckView:
    """Compare every run that did anything in these days with its whole journal.

    Raises:
        InvalidCostQuery: the days are none.
    """
    first, last = days_of(services, since, until)
    only = who.only(Scope.COSTS_READ)
    wrong, compared, under_way, after = list[CheckedRunView](), 0, 0, None
    while runs := await costly_runs(services.db, who.tenant, since=first, until=last, only=only, after=after):
        for run in runs:
            found = await compare(services, who, run)
            compared += found is not None
            under_way += found is None
            wrong += found or []
        after = runs[-1]
    return CheckView(runs=compared, under_way=under_way, wrong=wrong)


async def compare(services: Services, who: Who, run: UUID) -> list[CheckedRunView] | None:
    """The rows of a run that are not what its journal says; None: it is written to all the time."""
    for _ in range(_TRIES):
        before = await existing_run(services, who, run, Scope.COSTS_READ)
        ledger = await read_run_ledger(services.db, who.tenant, run)
        journal = await services.journal(who.tenant, run)
        told = await said_by(services, journal)
        if journal[-1].seq == before.seq == (await existing_run(services, who, run, Scope.COSTS_READ)).seq:
            return _differences(run, ledger, told)
    return None


async def said_by(services: Services, journal: Sequence[StoredEvent]) -> Rows:
    """The rows that a journal adds up to."""
    found: dict[tuple[date, str, str], Amounts] = {}
    accepted = list[bytes]()
    for stored in journal:
        event, day = stored.load(), stored.at.astimezone(UTC).date()
        if isinstance(event, ev.RunAccepted):
            accepted.append(bytes.fromhex(event.input))
        for line in lines_of(event):
            key = (day, line.kind, storable(line.name))
            found[key] = found.get(key, Amounts()).plus(line.amounts)
    first = journal[0]
    size = await stored_bytes(services.db, first.tenant, first.run, accepted)
    return found | {(_WHENEVER, "run", ""): Amounts(bytes=size)} if size else found


_WHENEVER = date.min
"""What was stored with which step, journals do not say: it is compared for the run as a whole."""


def _differences(run: UUID, ledger: Rows, journal: Rows) -> list[CheckedRunView]:
    kept = {key: amounts._replace(bytes=0) for key, amounts in ledger.items() if key[1] != "run"}
    size = sum(amounts.bytes for amounts in ledger.values())
    if size:
        kept[_WHENEVER, "run", ""] = Amounts(bytes=size)
    wrong = list[CheckedRunView]()
    for key in sorted(kept.keys() | journal.keys()):
        one, other = kept.get(key, Amounts())._asdict(), journal.get(key, Amounts())._asdict()
        names = [name for name in one if one[name] != other[name]]
        if names:
            day, kind, name = key
            row = "what it stored" if kind == "run" else f"{day} {kind} {name}"
            wrong.append(
                CheckedRunView(
                    run=run, row=row, ledger={n: one[n] for n in names}, journal={n: other[n] for n in names}
                )
            )
    return wrong
