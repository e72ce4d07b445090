"""The people and services of a tenant, and who asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from holdfast.api.bodies import PrincipalBody
from holdfast.api.body import read_body
from holdfast.api.describe import BODY, answer, body, problems
from holdfast.api.requests import IdempotencyKey, TheServices, needs, read_id, read_role, reply
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service import manage_principals as use
from holdfast.service.identity_views import MeView, PrincipalPage, PrincipalView
from holdfast.service.pages import PAGE, PAGE_MOST

router = APIRouter(tags=["principals"])


@router.get("/v1/me", summary="Who am I?", responses={**answer(200, MeView, "You, and what you may."), **problems()})
async def get_me(services: TheServices, who: Annotated[Who, needs()]) -> Response:
    """The principal behind the credential, and how far each of its scopes reaches."""
    return reply(await use.get_me(services, who))


@router.get(
    "/v1/principals",
    summary="List principals",
    responses={**answer(200, PrincipalPage, "Principals by name."), **problems("invalid-request")},
)
async def get_principals(
    services: TheServices,
    who: Annotated[Who, needs(Scope.PRINCIPALS_READ)],
    cursor: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = PAGE,
) -> Response:
    """The people and services of the tenant, with their roles."""
    return reply(await use.list_principals(services, who, after=cursor, limit=limit))


@router.post(
    "/v1/principals",
    status_code=201,
    summary="Invite a principal",
    openapi_extra=body(PrincipalBody),
    responses={
        **answer(201, PrincipalView, "The principal."),
        **problems("name-taken", "quota-exceeded", "idempotency-key-reused", *BODY),
    },
)
async def post_principal(
    request: Request,
    services: TheServices,
    who: Annotated[Who, needs(Scope.PRINCIPALS_WRITE)],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make a person or a service. It may do nothing until it has a key, or a token names it."""
    given = await read_body(request, PrincipalBody)
    view = await use.invite_principal(
        services,
        who,
        given.name,
        kind=given.kind,
        roles=given.roles,
        email=given.email,
        idempotency_key=idempotency_key,
    )
    return reply(view, 201, {"Location": f"/v1/principals/{view.id}"})


@router.get(
    "/v1/principals/{principal}",
    summary="Get a principal",
    responses={**answer(200, PrincipalView, "The principal."), **problems("not-found")},
)
async def get_principal(
    principal: str, services: TheServices, who: Annotated[Who, needs(Scope.PRINCIPALS_READ)]
) -> Response:
    """One person or service, with its roles."""
    return reply(await use.get_principal(services, who, read_id(principal)))


@router.put(
    "/v1/principals/{principal}/roles/{role}",
    summary="Grant a role",
    responses={**answer(200, PrincipalView, "The principal with the role."), **problems("not-found", "invalid-input")},
)
async def put_role(
    principal: str, role: str, services: TheServices, who: Annotated[Who, needs(Scope.PRINCIPALS_WRITE)]
) -> Response:
    """Give a principal a role, from now on."""
    return reply(await use.grant_role(services, who, read_id(principal), read_role(role)))


@router.delete(
    "/v1/principals/{principal}/roles/{role}",
    summary="Revoke a role",
    responses={
        **answer(200, PrincipalView, "The principal without the role."),
        **problems("not-found", "invalid-input", "last-admin"),
    },
)
async def delete_role(
    principal: str, role: str, services: TheServices, who: Annotated[Who, needs(Scope.PRINCIPALS_WRITE)]
) -> Response:
    """Take a role from a principal. What runs for it notices before its next effect."""
    return reply(await use.revoke_role(services, who, read_id(principal), read_role(role)))


@router.post(
    "/v1/principals/{principal}/disable",
    summary="Disable a principal",
    responses={
        **answer(200, PrincipalView, "The principal, disabled."),
        **problems("not-found", "last-admin"),
    },
)
async def post_disable(
    principal: str, services: TheServices, who: Annotated[Who, needs(Scope.PRINCIPALS_WRITE)]
) -> Response:
    """Let it do nothing any more, by any credential. What runs for it stops at its next effect."""
    return reply(await use.disable_principal(services, who, read_id(principal)))


@router.post(
    "/v1/principals/{principal}/enable",
    summary="Enable a principal",
    responses={**answer(200, PrincipalView, "The principal, enabled."), **problems("not-found")},
)
async def post_enable(
    principal: str, services: TheServices, who: Annotated[Who, needs(Scope.PRINCIPALS_WRITE)]
) -> Response:
    """Let a disabled principal act again. What was stopped goes on."""
    return reply(await use.enable_principal(services, who, read_id(principal)))
