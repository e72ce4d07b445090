"""Tenants, for those who manage the platform."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from holdfast.api.bodies import QuotasBody, SuspendBody, TenantBody, TenantLimitsBody
from holdfast.api.body import read_body
from holdfast.api.describe import BODY, answer, body, problems
from holdfast.api.requests import IdempotencyKey, TheServices, needs, reply
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service import manage_tenants as use
from holdfast.service.identity_views import DeletedTenantView, NewTenantView, TenantLimitsView, TenantPage, TenantView
from holdfast.service.pages import PAGE, PAGE_MOST
from holdfast.service.tenant_limits import limit_tenant

router = APIRouter(tags=["tenants"])


@router.get(
    "/v1/tenants",
    summary="List tenants",
    responses={**answer(200, TenantPage, "Tenants by name."), **problems("invalid-request")},
)
async def get_tenants(
    services: TheServices,
    who: Annotated[Who, needs(Scope.TENANTS_READ)],
    cursor: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = PAGE,
) -> Response:
    """Names and states; nothing of what is in them."""
    return reply(await use.list_tenants(services, who, after=cursor, limit=limit))


@router.post(
    "/v1/tenants",
    status_code=201,
    summary="Create a tenant",
    openapi_extra=body(TenantBody),
    responses={
        **answer(201, NewTenantView, "The tenant, with its first administrator's key, this once."),
        **problems("name-taken", "not-found", "idempotency-key-reused", *BODY),
    },
)
async def post_tenant(
    request: Request,
    services: TheServices,
    who: Annotated[Who, needs(Scope.TENANTS_WRITE)],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make a tenant and its first administrator, both or neither. Its audit log begins by saying who did.

    A request that comes again with its idempotency key is answered with the tenant, and `admin` and `key` null.
    """
    given = await read_body(request, TenantBody)
    view = await use.create_tenant(services, who, given.name, admin=given.admin, idempotency_key=idempotency_key)
    return reply(view, 201, {"Location": f"/v1/tenants/{view.name}"})


@router.get(
    "/v1/tenants/{name}",
    summary="Get a tenant",
    responses={**answer(200, TenantView, "The tenant."), **problems("not-found")},
)
async def get_tenant(name: str, services: TheServices, who: Annotated[Who, needs(Scope.TENANTS_READ)]) -> Response:
    """One tenant by name."""
    return reply(await use.get_tenant(services, who, name))


@router.post(
    "/v1/tenants/{name}/suspend",
    summary="Suspend a tenant",
    openapi_extra=body(SuspendBody),
    responses={**answer(200, TenantView, "The tenant, suspended."), **problems("not-found", *BODY)},
)
async def post_suspend(
    request: Request, name: str, services: TheServices, who: Annotated[Who, needs(Scope.TENANTS_WRITE)]
) -> Response:
    """It starts nothing new; what is queued parks now, what runs at its next effect."""
    given = await read_body(request, SuspendBody)
    return reply(await use.suspend_tenant(services, who, name, reason=given.reason))


@router.post(
    "/v1/tenants/{name}/resume",
    summary="Resume a tenant",
    responses={**answer(200, TenantView, "The tenant, active."), **problems("not-found", "invalid-input")},
)
async def post_resume(name: str, services: TheServices, who: Annotated[Who, needs(Scope.TENANTS_WRITE)]) -> Response:
    """It goes on, and what was parked with it."""
    return reply(await use.resume_tenant(services, who, name))


@router.put(
    "/v1/tenants/{name}/quotas",
    summary="Set a tenant's quotas",
    openapi_extra=body(QuotasBody),
    responses={**answer(200, TenantView, "The tenant with its quotas."), **problems("not-found", *BODY)},
)
async def put_quotas(
    request: Request, name: str, services: TheServices, who: Annotated[Who, needs(Scope.TENANTS_WRITE)]
) -> Response:
    """All of them: what is left out has no limit any more. What the tenant has already stays."""
    return reply(await use.set_quotas(services, who, name, await read_body(request, QuotasBody)))


@router.put(
    "/v1/tenants/{name}/limits",
    summary="Set a tenant's limits",
    openapi_extra=body(TenantLimitsBody),
    responses={
        **answer(200, TenantLimitsView, "What each of its runs may do at most from now on."),
        **problems("not-found", "invalid-input", *BODY),
    },
)
async def put_limits(
    request: Request, name: str, services: TheServices, who: Annotated[Who, needs(Scope.TENANTS_WRITE)]
) -> Response:
    """All of them: what is left out is not limited any more. Its own administrators may set others."""
    return reply(await limit_tenant(services, who, name, (await read_body(request, TenantLimitsBody)).limits))


@router.delete(
    "/v1/tenants/{name}",
    summary="Delete a tenant",
    responses={
        **answer(200, DeletedTenantView, "The evidence, which is in the platform's audit log too."),
        **problems("not-found", "tenant-active"),
    },
)
async def delete_tenant(name: str, services: TheServices, who: Annotated[Who, needs(Scope.TENANTS_WRITE)]) -> Response:
    """Every row of it, for good. It has to be suspended. Interrupted, ask again and it goes on."""
    return reply(await use.delete_tenant(services, who, name))
