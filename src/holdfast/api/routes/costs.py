"""What runs cost."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from holdfast.api.describe import answer, problems
from holdfast.api.requests import TheServices, needs, reply
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.cost_views import CostsView
from holdfast.service.costs_csv import costs_csv
from holdfast.service.list_costs import list_costs

router = APIRouter(tags=["costs"])

CSV = "text/csv"


@router.get(
    "/v1/costs",
    summary="What runs cost",
    responses={
        200: {
            **answer(200, CostsView, "Sums over the days that were asked for.")[200],
            "content": {CSV: {"schema": {"type": "string"}}},
        },
        **problems("invalid-cost-query", "invalid-request"),
    },
)
async def get_costs(
    services: TheServices,
    who: Annotated[Who, needs(Scope.COSTS_READ)],
    by: Annotated[
        str, Query(max_length=200, description="What to tell apart, as `feature,model`; none: one sum.")
    ] = "",
    since: Annotated[str | None, Query(max_length=40, description="The first day, or `7d`. Default: `30d`.")] = None,
    until: Annotated[str | None, Query(max_length=40, description="The last day. Default: today.")] = None,
    accept: Annotated[str | None, Header(description="`text/csv` for CSV.")] = None,
) -> Response:
    """Costs, the dearest first. Days are days in UTC. Where `at_least` is true, something had no known price."""
    dimensions = [name.strip() for name in by.split(",") if name.strip()]
    view = await list_costs(services, who, by=dimensions, since=since or None, until=until or None)
    if _wants_csv(accept):
        return Response(costs_csv(view), media_type=f"{CSV}; charset=utf-8", headers={"Vary": "Accept"})
    return reply(view, headers={"Vary": "Accept"})


def _wants_csv(accept: str | None) -> bool:
    """Whether the first of the types that are asked for, and that there are, is CSV."""
    for part in (accept or "").lower().split(","):
        kind = part.partition(";")[0].strip()
        if kind in {CSV, "application/json", "*/*"}:
            return kind == CSV
    return False
