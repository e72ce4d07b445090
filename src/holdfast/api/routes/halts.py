"""Halts: stopping work, and letting it go on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from holdfast.api.bodies import HaltBody
from holdfast.api.body import read_body
from holdfast.api.describe import BODY, answer, body, problems
from holdfast.api.requests import HaltingServices, needs_to_halt, read_id, reply
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service import halts as use
from holdfast.service.halt_views import HaltPage, HaltReport
from holdfast.service.pages import PAGE, PAGE_MOST

router = APIRouter(tags=["halts"])


@router.get(
    "/v1/halts",
    summary="List halts",
    responses={**answer(200, HaltPage, "Halts, newest first."), **problems("invalid-cursor", "invalid-request")},
)
async def get_halts(
    services: HaltingServices,
    who: Annotated[Who, needs_to_halt(Scope.HALTS_READ)],
    in_force: Annotated[bool, Query(description="Only those that are in force.")] = False,
    cursor: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = PAGE,
) -> Response:
    """Stops, in force or ended: who declared them, why, and until when."""
    return reply(await use.list_halts(services, who, in_force=in_force, cursor=cursor, limit=limit))


@router.post(
    "/v1/halts",
    status_code=201,
    summary="Halt something",
    openapi_extra=body(HaltBody),
    responses={
        **answer(201, HaltReport, "The halt: no intent that it covers commits any more."),
        **answer(200, HaltReport, "It was in force already: that one."),
        **problems("not-found", "session-deleted", *BODY),
    },
)
async def post_halt(
    request: Request, services: HaltingServices, who: Annotated[Who, needs_to_halt(Scope.HALTS_WRITE)]
) -> Response:
    """Stop a run, a session, a principal's runs, a task, a tool, a model, the tenant, or (the platform) everything."""
    given = await read_body(request, HaltBody)
    view, is_new = await use.declare_halt(services, who, given.scope, given.key, reason=given.reason, for_s=given.for_s)
    return reply(view, 201 if is_new else 200, {"Location": f"/v1/halts/{view.id}"})


@router.get(
    "/v1/halts/{halt}",
    summary="Get a halt",
    responses={**answer(200, HaltReport, "The halt, with what is still under way."), **problems("not-found")},
)
async def get_halt(
    halt: str, services: HaltingServices, who: Annotated[Who, needs_to_halt(Scope.HALTS_READ)]
) -> Response:
    """When what it covers was last begun and last ended, which workers have not said that they know, what goes on."""
    return reply(await use.get_halt(services, who, read_id(halt)))


@router.post(
    "/v1/halts/{halt}/lift",
    summary="Lift a halt",
    responses={
        **answer(200, HaltReport, "The halt, lifted."),
        **problems("not-found", "halt-outranked", "invalid-input"),
    },
)
async def post_lift(
    halt: str, services: HaltingServices, who: Annotated[Who, needs_to_halt(Scope.HALTS_WRITE)]
) -> Response:
    """What it held back goes on where it stood, as far as no other halt holds it."""
    return reply(await use.lift_halt(services, who, read_id(halt)))
