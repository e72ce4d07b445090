"""What runs cost, told apart by model, feature, user and the rest, without reading a journal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, timedelta

from holdfast.domain.errors import InvalidCostQuery
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.cost_views import CostRowView, CostsView
from holdfast.service.names import names_of
from holdfast.service.services import Services
from holdfast.store.ledger import DIMENSIONS, NOTHING, read_costs

ROWS_MOST = 10_000
_DAYS = re.compile(r"([1-9][0-9]{0,3})([dw])")
_WEEK = 7


async def list_costs(
    services: Services, who: Who, *, by: Sequence[str] = (), since: str | None = None, until: str | None = None
) -> CostsView:
    """What runs cost; their own, where the one who asks sees no others'.

    Args:
        services: what the use cases of the process share.
        who: the one who asks.
        by: the dimensions to tell apart; none: one sum.
        since: the first day, as 2026-11-01, or `7d`: today and the six days before it. Default: 30d.
        until: the last day. Default: today. Days are days in UTC.

    Raises:
        InvalidCostQuery: there is no such dimension or day.
    """
    asked = list(dict.fromkeys(by))
    for name in asked:
        if name not in DIMENSIONS:
            raise InvalidCostQuery(f"Costs are not kept by '{name[:40]}'. Name some of: {', '.join(DIMENSIONS)}.")
    first, last = days_of(services, since, until)
    only = who.only(Scope.COSTS_READ)
    rows = await read_costs(services.db, who.tenant, by=asked, since=first, until=last, only=only, limit=ROWS_MOST + 1)
    total = await read_costs(services.db, who.tenant, by=[], since=first, until=last, only=only, limit=1)
    items = [CostRowView.of(row, asked) for row in rows[:ROWS_MOST]]
    users = {key for item in items if (key := item.key.get("user")) is not None}
    if only is not None:
        # A service sees what it started for others, by their ids: what they are called is theirs.
        users &= {only}
    return CostsView(
        by=asked,
        since=first,
        until=last,
        items=items,
        truncated=len(rows) > ROWS_MOST,
        total=CostRowView.of(total[0] if total else NOTHING, ()),
        names=dict(await names_of(services, who.tenant, users)) if users else {},
    )


def days_of(services: Services, since: str | None, until: str | None) -> tuple[date, date]:
    """The first and the last day.

    Raises:
        InvalidCostQuery: these are no days.
    """
    today = services.now().astimezone(UTC).date()
    first, last = _first_day(since or "30d", today), _day(until, "until") if until else today
    if first > last:
        raise InvalidCostQuery(f"The days from {first} to {last} are none: give a 'since' that is not after 'until'.")
    return first, last


def _first_day(text: str, today: date) -> date:
    ago = _DAYS.fullmatch(text)
    if ago is None:
        return _day(text, "since")
    days = int(ago[1]) * (_WEEK if ago[2] == "w" else 1)
    return today - timedelta(days=days - 1)


def _day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        hint = " or as 7d" if name == "since" else ""
        raise InvalidCostQuery(f"'{text[:40]}' is not a day for '{name}'. Write it as 2026-11-01{hint}.") from None
