"""What a tenant can do about itself: look, read its audit log, take everything with it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from holdfast.api.bodies import ExportBody, TenantLimitsBody, TimeZoneBody
from holdfast.api.body import read_body
from holdfast.api.describe import BODY, answer, body, problems
from holdfast.api.export import export_response
from holdfast.api.requests import TheServices, needs, reply, standing_of
from holdfast.domain.errors import InvalidInput, KeyUnavailable
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.budget_views import TimeZoneView
from holdfast.service.export_tenant import export_tenant
from holdfast.service.identity_views import AuditPage, TenantLimitsView, TenantView
from holdfast.service.manage_tenants import get_own_tenant
from holdfast.service.pages import PAGE, PAGE_MOST
from holdfast.service.read_audit_log import read_audit_log
from holdfast.service.set_time_zone import get_time_zone, set_time_zone
from holdfast.service.tenant_limits import get_tenant_limits, set_tenant_limits
from holdfast.store.vault import WrappingKey

router = APIRouter(tags=["tenant"])


@router.get(
    "/v1/tenant",
    summary="Get your tenant",
    responses={**answer(200, TenantView, "Your tenant, with what it may have at most."), **problems()},
)
async def get_tenant(services: TheServices, who: Annotated[Who, needs(Scope.TENANT_READ)]) -> Response:
    """Its name, state and quotas."""
    return reply(await get_own_tenant(services, who))


@router.get(
    "/v1/tenant/time-zone",
    summary="Get your tenant's time zone",
    responses={**answer(200, TimeZoneView, "Where its days begin."), **problems()},
)
async def get_zone(services: TheServices, who: Annotated[Who, needs(Scope.BUDGETS_READ)]) -> Response:
    """In which zone the days, weeks and months of budgets begin."""
    return reply(await get_time_zone(services, who))


@router.put(
    "/v1/tenant/time-zone",
    summary="Set your tenant's time zone",
    openapi_extra=body(TimeZoneBody),
    responses={**answer(200, TimeZoneView, "Where its days begin now."), **problems("invalid-input", *BODY)},
)
async def put_zone(request: Request, services: TheServices, who: Annotated[Who, needs(Scope.TENANT_WRITE)]) -> Response:
    """Windows of budgets that are under way end, and others begin: what was spent in them stays there."""
    return reply(await set_time_zone(services, who, (await read_body(request, TimeZoneBody)).time_zone))


@router.get(
    "/v1/tenant/limits",
    summary="Get your tenant's limits",
    responses={**answer(200, TenantLimitsView, "What each of its runs may do at most."), **problems()},
)
async def get_limits(services: TheServices, who: Annotated[Who, needs(Scope.TENANT_READ)]) -> Response:
    """They hold for each of its runs, whatever its task and its request allow and people raise."""
    return reply(await get_tenant_limits(services, who))


@router.put(
    "/v1/tenant/limits",
    summary="Set your tenant's limits",
    openapi_extra=body(TenantLimitsBody),
    responses={
        **answer(200, TenantLimitsView, "What each of its runs may do at most from now on."),
        **problems("invalid-input", *BODY),
    },
)
async def put_limits(
    request: Request, services: TheServices, who: Annotated[Who, needs(Scope.TENANT_WRITE)]
) -> Response:
    """All of them: what is left out is not limited any more. Runs that are under way go on under them."""
    return reply(await set_tenant_limits(services, who, (await read_body(request, TenantLimitsBody)).limits))


@router.post(
    "/v1/tenant/export",
    summary="Export your tenant",
    openapi_extra=body(ExportBody),
    responses={
        200: {
            "description": "Everything, as JSON Lines. The last line is `end`; without it the export is incomplete.",
            "content": {"application/jsonl": {"schema": {"type": "string"}}},
        },
        **problems("export-under-way", "exports-busy", *BODY),
    },
)
async def post_export(
    request: Request, services: TheServices, who: Annotated[Who, needs(Scope.TENANT_WRITE)]
) -> Response:
    """Every row your tenant has, of one moment. Content stays sealed, under keys that only the key you send opens."""
    given = await read_body(request, ExportBody)
    try:
        key = WrappingKey.from_text(given.key, source="the request")
    except KeyUnavailable:
        raise InvalidInput("`key` is not 32 bytes of base64 or hex. Make it with `openssl rand -base64 32`.") from None
    return await export_response(
        export_tenant(services, standing_of(request, who), key), request.app.state.export_idle_s
    )


@router.get(
    "/v1/audit",
    summary="Read the audit log",
    responses={**answer(200, AuditPage, "Entries, newest first."), **problems("invalid-cursor", "invalid-request")},
)
async def get_audit_log(
    services: TheServices,
    who: Annotated[Who, needs(Scope.AUDIT_READ)],
    cursor: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = PAGE,
) -> Response:
    """What was done to your tenant's people, roles and keys, by whom, and which credentials were refused."""
    return reply(await read_audit_log(services, who, cursor=cursor or None, limit=limit))
