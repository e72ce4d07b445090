"""Whether the ledger is what journals say: each run's rows against the sum over its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
        told = said_by(journal)
        if journal[-1].seq == before.seq == (await existing_run(services, who, run, Scope.COSTS_READ)).seq:
            return _differences(run, ledger, told, *await _stored(services, journal))
    return None


def said_by(journal: Iterable[StoredEvent]) -> Rows:
    """The rows that a journal adds up to."""
    found: dict[tuple[date, str, str], Amounts] = {}
    for stored in journal:
        for line in lines_of(stored.load()):
            key = (stored.at.astimezone(UTC).date(), line.kind, storable(line.name))
            found[key] = found.get(key, Amounts()).plus(line.amounts)
    return found


async def _stored(services: Services, journal: Sequence[StoredEvent]) -> tuple[int, int]:
    first = journal[0]
    accepted = first.load()
    assert isinstance(accepted, ev.RunAccepted)
    return await stored_bytes(services.db, first.tenant, first.run, [bytes.fromhex(accepted.input)])


def _differences(run: UUID, ledger: Rows, journal: Rows, least: int, most: int) -> list[CheckedRunView]:
    # What was stored with which step, journals do not say: it is compared for the run as a whole.
    kept = {key: amounts._replace(bytes=0) for key, amounts in ledger.items() if key[1] != "run"}
    size = sum(amounts.bytes for amounts in ledger.values())
    wrong = list[CheckedRunView]()
    if not least <= size <= most:
        wrong.append(CheckedRunView(run=run, row="what it stored", ledger={"bytes": size}, journal={"bytes": most}))
    for key in sorted(kept.keys() | journal.keys()):
        one, other = kept.get(key, Amounts())._asdict(), journal.get(key, Amounts())._asdict()
        names = [name for name in one if one[name] != other[name]]
        if names:
            day, kind, name = key
            differs = {"ledger": {n: one[n] for n in names}, "journal": {n: other[n] for n in names}}
            wrong.append(CheckedRunView(run=run, row=f"{day} {kind} {name}", **differs))
    return wrong
